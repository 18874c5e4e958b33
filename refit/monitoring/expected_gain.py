"""The expected gain of a retrain, from the probes of all windows and from the growth of the labelled history.

A model is worth less and less beside one that is trained now: the world changes, and there are more rows to learn from.
On real streams the share of the loss that a new model saves grows about as the logarithm of the number of known rows. A
single probe on half a window is too noisy to show that; the estimate combines all of them with it by a Kalman filter
(Kalman 1960, "A new approach to linear filtering and prediction problems", Journal of Basic Engineering 82).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime
from statistics import median

from refit.monitoring.evidence import Evidence, Probe

AGEING = 0.15
"""The gain per unit of the logarithm of the growth that is expected of a project without any probe, as a share of the
loss. Like the four after it, it was chosen on some real streams and judged on others (docs/benchmarks)."""
AGEING_ERROR = 0.05
"""The standard deviation of that gain between projects."""
STEP_ERROR = 0.03
"""The standard deviation of what else happens to the gain in one window, such as a change of the world."""
FIT_ERROR = 0.03
"""The standard deviation of the gain from the luck of two fits, which no block of rows shows. Two fits of gradient
boosting to independent draws of the same world differ by 1.6 to 2.2 % of the loss."""
REMEMBERED_LOSSES = 4
"""The number of probes whose median loss keeps a gain in an easy window from looking large."""


@dataclass(frozen=True, slots=True)
class GainEstimate:
    """What is known about the gain: `ageing * log(growth) + shift`, as a share of the loss, with its uncertainty."""

    ageing: float = AGEING
    """The gain per unit of the logarithm of the growth. It belongs to the project and outlives a champion."""
    shift: float = 0.0
    """What the champion gains beyond that; 0 when it is promoted."""
    ageing_variance: float = AGEING_ERROR**2
    covariance: float = 0.0
    shift_variance: float = 0.0
    losses: tuple[float, ...] = ()
    """The losses of the newest probes."""
    since: datetime | None = None
    """The moment of the newest look at this champion, UTC; `None` before the first."""
    judged_until: datetime | None = None
    """The end of the newest rows of this champion that were judged; `None` before the first."""

    def for_new_champion(self) -> GainEstimate:
        """Returns the estimate for a champion that has just been promoted: the project ages as before."""
        return replace(self, shift=0.0, covariance=0.0, shift_variance=0.0, since=None, judged_until=None)

    def after(self, evidence: Evidence) -> GainEstimate:
        """Adds a look at the champion.

        Rows that an earlier probe has judged are not counted again, so it makes no difference how often one looks.

        Args:
            evidence: The evidence.

        Returns:
            The estimate as of that moment.
        """
        moved = self._move(evidence)
        probe = evidence.probe
        if probe is None or evidence.growth is None or not self._is_new(probe):
            return moved
        scale = max(probe.loss, median((*self.losses, probe.loss)) / 2)
        if scale <= 0:
            return moved
        seen = moved.measured(math.log(evidence.growth), _clip(probe.gain / scale), _variance(probe, scale))
        losses = (*self.losses, probe.loss)[-REMEMBERED_LOSSES:]
        return replace(seen, losses=losses, judged_until=probe.window.end)

    def expect(self, growth: float) -> float:
        """Returns the expected gain of a retrain.

        Args:
            growth: The mature rows divided by those that the champion could know, at least 1.

        Returns:
            The gain as a share of the loss.
        """
        return self.ageing * math.log(growth) + self.shift

    def _is_new(self, probe: Probe) -> bool:
        return self.judged_until is None or probe.window.start >= self.judged_until

    def _move(self, evidence: Evidence) -> GainEstimate:
        """Adds the uncertainty of the time since the last look: one window's before the first."""
        windows = 1.0 if self.since is None else max(0.0, (evidence.as_of - self.since) / evidence.length)
        return replace(self, shift_variance=self.shift_variance + STEP_ERROR**2 * windows, since=evidence.as_of)

    def measured(self, age: float, gain: float, variance: float) -> GainEstimate:
        """Moves the estimate towards a measured gain, by as much as that is surer than the estimate.

        Args:
            age: The logarithm of the growth.
            gain: The measured gain, as a share of the loss.
            variance: Its variance.

        Returns:
            The estimate.
        """
        with_ageing = self.ageing_variance * age + self.covariance
        with_shift = self.covariance * age + self.shift_variance
        total = with_ageing * age + with_shift + variance
        missed = (gain - self.ageing * age - self.shift) / total
        return replace(
            self,
            ageing=self.ageing + with_ageing * missed,
            shift=self.shift + with_shift * missed,
            ageing_variance=self.ageing_variance - with_ageing**2 / total,
            covariance=self.covariance - with_ageing * with_shift / total,
            shift_variance=self.shift_variance - with_shift**2 / total,
        )


def _clip(share: float) -> float:
    return min(1.0, max(-1.0, share))


def _variance(probe: Probe, scale: float) -> float:
    """Returns the variance of the gain as a share: that of Student's t for few blocks, and the luck of the fits."""
    freedom = probe.blocks - 1
    return (probe.error / scale) ** 2 * freedom / max(freedom - 2, 1) + FIT_ERROR**2
