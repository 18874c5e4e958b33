"""Kills a command, runs it once more, and says what does not hold then."""

from __future__ import annotations

import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from tests.support.chaos.consistency import doctored, show_faults
from tests.support.chaos.depot import SCENARIOS, STATES, Depot, Scenario
from tests.support.chaos.killing import Ended, forked, list_temporary_files, run

DONE_ALREADY = {"NoNewData", "PromotionError"}
"""How a command ends that finds its work done: the kill came after the last step."""


class Outcome(NamedTuple):
    """What came of one kill."""

    scenario: Scenario
    where: str
    killed: bool
    repaired: int
    """How many things the doctor has found after the rerun."""
    faults: list[str]


class Matrix:
    """All kills, one after the other, in one place."""

    def __init__(self, place: Path, seed: int) -> None:
        import_module("tests.support.preloaded_modules")  # once, and before the forks
        self._place, self._depot, self._moments = place, Depot(place), random.Random(seed)  # noqa: S311
        self._lengths: dict[Scenario, Ended] = {}
        self._crowned: dict[Scenario, int] = {}
        self.outcomes: list[Outcome] = []
        self._prepare()

    def at_boundaries(self, count: int | None) -> None:
        """Kills at every boundary of every scenario, or at random ones of scenarios that are evenly spread."""
        for scenario, at in self._every() if count is None else self._some(count):
            self._kill(scenario, self._measured(scenario).boundaries[at], at_boundary=at)

    def at_moments(self, count: int) -> None:
        """Kills at random moments."""
        for _ in range(count):
            scenario = self._moments.choice(SCENARIOS)
            after = self._moments.uniform(0.0, self._measured(scenario).seconds)
            self._kill(scenario, f"after {after:.2f} s", after=after)

    def kill_service(self, scenario: Scenario, name: str, kill: Callable[[], None], start: Callable[[], None]) -> None:
        """Kills a service at a random moment of a command, and starts it again before the rerun."""
        after = self._moments.uniform(0.0, self._measured(scenario).seconds)
        self._depot.restore(scenario.state)
        first = run(scenario.command, self._place, after=after, instead=kill)
        start()
        self._judge(scenario, f"{name} killed after {after:.2f} s, exit code {first.code}", killed=False)

    def report(self) -> int:
        """Prints a table; gives the exit code."""
        rows = Counter((str(one.scenario), one.killed, bool(one.repaired), bool(one.faults)) for one in self.outcomes)
        lines = ["", "scenario                        killed  doctor found  inconsistent   times"]
        for (scenario, killed, repaired, faulty), times in sorted(rows.items()):
            lines.append(f"{scenario:<30}  {killed!s:<6}  {repaired!s:<12}  {faulty!s:<12}  {times:>6}")
        bad = [one for one in self.outcomes if one.faults]
        lines += [f"  {one.scenario}, {one.where}: {'; '.join(one.faults)}" for one in bad]
        lines.append(f"{len(self.outcomes)} kills, {len(bad)} inconsistent")
        sys.stdout.write("\n".join(lines) + "\n")
        return 1 if bad or not self.outcomes else 0

    def _prepare(self) -> None:
        self._depot.home.mkdir()
        for state, commands in STATES.items():
            for command in commands[-1:]:
                self._sound(run(command, self._place))
            self._depot.keep(state)

    def _every(self) -> Iterator[tuple[Scenario, int]]:
        for scenario in SCENARIOS:
            yield from ((scenario, at) for at in range(len(self._measured(scenario).boundaries)))

    def _some(self, count: int) -> Iterator[tuple[Scenario, int]]:
        for number in range(count):
            scenario = SCENARIOS[(2 * number + 1) * len(SCENARIOS) // (2 * count)]
            yield scenario, self._moments.randrange(len(self._measured(scenario).boundaries))

    def _measured(self, scenario: Scenario) -> Ended:
        """Runs a scenario once without any kill; says how long it takes, and which boundaries it passes."""
        if scenario not in self._lengths:
            self._depot.restore(scenario.state)
            self._lengths[scenario] = self._sound(run(scenario.command, self._place))
            faults, self._crowned[scenario] = self._found(scenario)
            if faults:
                raise SystemExit(f"{scenario} is not sound without any kill: {faults}")
        return self._lengths[scenario]

    def _kill(
        self, scenario: Scenario, where: str, *, at_boundary: int | None = None, after: float | None = None
    ) -> None:
        self._depot.restore(scenario.state)
        first = run(scenario.command, self._place, at_boundary=at_boundary, after=after)
        self._judge(scenario, where, killed=first.code < 0)

    def _judge(self, scenario: Scenario, where: str, *, killed: bool) -> None:
        """Runs the command once more, and the doctor until it has nothing left to find."""
        begun, left = time.monotonic(), list_temporary_files(self._place)
        again = run(scenario.command, self._place)
        strays = [f"the system's temporary directory had {one} after the kill" for one in left]
        faults = [*strays, *self._rerun_faults(again), *self._faults(scenario)]
        doctor = run(("doctor",), self._place)
        second = run(("doctor",), self._place) if doctor.answer.get("findings") else doctor
        faults += doctored(doctor.answer, second.answer)
        self.outcomes.append(Outcome(scenario, where, killed, len(doctor.answer.get("findings", ())), faults))
        told, seconds = "; ".join(faults) or "sound", time.monotonic() - begun
        sys.stderr.write(f"{len(self.outcomes):>4} {scenario}, {where}: {told} ({seconds:.1f} s)\n")

    def _rerun_faults(self, again: Ended) -> Iterator[str]:
        if again.code and again.answer.get("kind") not in DONE_ALREADY:
            yield f"the rerun ended with {again.code}: {again.answer or again.complaint}"

    def _faults(self, scenario: Scenario) -> list[str]:
        faults, crowned = self._found(scenario)
        expected = self._crowned[scenario]
        return faults if crowned == expected else [*faults, f"{crowned} promotions and rollbacks, not {expected}"]

    def _found(self, scenario: Scenario) -> tuple[list[str], int]:
        code, out, err = forked(lambda: show_faults(scenario), self._place)
        found = json.loads(out) if code == 0 else {"faults": [err[-1_500:]], "crowned": -1}
        return found["faults"], found["crowned"]

    def _sound(self, ended: Ended) -> Ended:
        if ended.code:
            raise SystemExit(f"a command fails without any kill: {ended.answer} {ended.complaint}")
        return ended
