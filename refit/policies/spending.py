"""How the gate's error budget is spent: each test gets a stated part, so that all together keep the promise."""

from __future__ import annotations

CHANGE = 0.6
"""The part of `gate.significance` for the test against the champion by the primary metric."""
SLICES = 0.25
"""The part for all slices together; Holm's correction shares it out among them."""
CALIBRATION = 0.15
"""The part for calibration. All parts sum to one (Bonferroni): an equal challenger is rejected by any of the tests
with a chance of `gate.significance` at most."""
