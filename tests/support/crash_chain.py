"""The crash matrix on the running stack: `python -m tests.support.crash_chain DIRECTORY CHAINS`, by its settings.

A home is copied back before each kill; databases and buckets that servers hold are not. So each project lives once,
and each command of its life is killed at one of its steps, run again, and looked after by the doctor: what it leaves
is what the next one begins with. A first project that nothing kills says how many steps there are, and what has to
come out.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

from refit_infra.settings import Settings, apply_environment
from tests.support.chaos.consistency import doctored
from tests.support.chaos.depot import PROJECT, ROWS_AT, SCORED, Scenario

SEED = 7
OFTEN = "budget=BudgetPolicy(retrains=100, burst=100)"
"""A killed retrain and its rerun are two, and the next ones follow closely."""


def life(name: str) -> list[Scenario]:
    """The commands of a project's life, and what it holds after each."""
    early, late, latest = ROWS_AT
    steps = [
        (("retrain", name, "--as-of", early), early, 0),
        (("score", name, "--as-of", late), early, SCORED),
        (("retrain", name, "--as-of", late), late, SCORED),
        (("monitor", name, "--as-of", latest), latest, SCORED),
        (("rollback", name, "--to", "1"), latest, SCORED),
    ]
    return [Scenario("", command, ROWS_AT[day], scored, name) for command, day, scored in steps]


class Chain:
    """All kills, one after the other."""

    def __init__(self, place: Path) -> None:
        from tests.support.chaos import killing

        self._place, self._run, self._moments = place, killing.run, random.Random(SEED)  # noqa: S311
        self._steps: list[tuple[str, ...]] = []
        self._crowned: list[int] = []
        self.bad = self.kills = 0

    def untouched(self, name: str) -> None:
        """Lives a life that nothing kills."""
        self._begin(name)
        for scenario in life(name):
            ended = self._run(scenario.command, self._place)
            faults, crowned = self._found(scenario)
            if ended.code or faults:
                raise SystemExit(f"{scenario} is not sound without any kill: {faults} {ended.answer} {ended.complaint}")
            self._steps.append(ended.boundaries)
            self._crowned.append(crowned)

    def killed(self, name: str) -> None:
        """Lives one in which each command is killed once."""
        self._begin(name)
        for number, scenario in enumerate(life(name)):
            at = self._moments.randrange(len(self._steps[number]))
            first = self._run(scenario.command, self._place, at_boundary=at)
            faults = [] if first.code < 0 else [f"it was not killed: {first.answer} {first.complaint}"]
            faults += [*self._again(scenario), *self._faults(scenario, self._crowned[number])]
            self.kills, self.bad = self.kills + 1, self.bad + bool(faults)
            where = f"{scenario.command[0]} of {name}, {self._steps[number][at]} ({at})"
            sys.stdout.write(f"{where}: {'; '.join(faults) or 'sound'}\n")
            sys.stdout.flush()

    def _begin(self, name: str) -> None:
        text = PROJECT.replace('name="hours"', f'name="{name}"').replace("Project\n", "BudgetPolicy, Project\n", 1)
        text = text.replace("window=timedelta(days=8)", f"window=timedelta(days=8), {OFTEN}")
        (Settings().projects / f"{name}.py").write_text(text)

    def _again(self, scenario: Scenario) -> list[str]:
        from tests.support.chaos.matrix import DONE_ALREADY

        again = self._run(scenario.command, self._place)
        sound = not again.code or again.answer.get("kind") in DONE_ALREADY
        return [] if sound else [f"the rerun ended with {again.code}: {again.answer or again.complaint}"]

    def _faults(self, scenario: Scenario, expected: int) -> list[str]:
        faults, crowned = self._found(scenario)
        if crowned != expected:
            faults.append(f"{crowned} promotions and rollbacks, not {expected}")
        doctor = self._run(("doctor",), self._place)
        return [*faults, *doctored(doctor.answer, self._run(("doctor",), self._place).answer)]

    def _found(self, scenario: Scenario) -> tuple[list[str], int]:
        import json

        from tests.support.chaos.consistency import show_faults
        from tests.support.chaos.killing import forked

        code, out, err = forked(lambda: show_faults(scenario), self._place)
        found = json.loads(out) if code == 0 else {"faults": [err[-1_500:]], "crowned": -1}
        return found["faults"], found["crowned"]


def main(place: Path, chains: int) -> int:
    apply_environment(Settings())
    import tests.support.preloaded_modules

    assert tests.support.preloaded_modules
    chain = Chain(place)
    chain.untouched("hours0")
    for number in range(chains):
        chain.killed(f"hours{number + 1}")
    sys.stdout.write(f"{chain.kills} kills, {chain.bad} inconsistent\n")
    return 1 if chain.bad or not chain.kills else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
