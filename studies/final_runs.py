"""Fresh seeds of the chosen settings, and the one step that opens the test part."""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ranklight.studies.ledger import Ledger
from ranklight.studies.locks import claimed
from ranklight.studies.search_space import Arm
from ranklight.studies.single_runs import Runs, SettingError, tested_runs

_POLL_SECONDS = 1.0

# By arm and seed: the scores of a run in test.
TestScores = dict[str, dict[int, dict[str, float]]]


class FinalRuns(NamedTuple):
    """Runs of the chosen settings, on the data's own training and validation split.

    Args:
        runs: How runs are made.
        arms: Each with the same seeds.
        chosen: The keys of each arm by its name, as the search chose them.
        seeds: Fresh ones: 1, 2, ... where the search had 0.
        ledger: Says when test was opened.
    """

    runs: Runs
    arms: Sequence[Arm]
    chosen: Mapping[str, Mapping[str, Any]]
    seeds: Sequence[int]
    ledger: Ledger

    def fit(self) -> Iterator[tuple[Arm, int]]:
        """Fit all, together with others that do the same.

        Yields:
            Whose run ended.

        Raises:
            ValueError: A run failed; names its log.
        """
        while missing := [
            (arm, seed)
            for arm in self.arms
            for seed in self.seeds
            if not self.runs.is_fitted(_experiment(arm), _name(seed))
        ]:
            busy = True
            for arm, seed in missing:
                lock = self.runs.directory / _experiment(arm) / f".{_name(seed)}.lock"
                with claimed(lock) as mine:
                    if mine and not self.runs.is_fitted(_experiment(arm), _name(seed)):
                        self._fit(arm, seed)
                        busy = False
                        yield arm, seed
            if busy:
                time.sleep(_POLL_SECONDS)

    def test(self) -> Iterator[tuple[Arm, int]]:
        """Test every run, once, in one step of one process; the others wait for its end.

        Yields:
            Whose run was tested.
        """
        with claimed(self.runs.directory / ".test", wait=True):
            if self.ledger.events("test closed"):
                return
            self._open()
            scores: TestScores = {arm.name: {} for arm in self.arms}
            for arm in self.arms:
                for seed in self.seeds:
                    scores[arm.name][seed] = self.runs.test(_experiment(arm), _name(seed))
                    yield arm, seed
            self.ledger.write("test closed", scores=scores)

    def scores(self) -> TestScores:
        """What the ledger has of the test, after `test`."""
        (closed,) = self.ledger.events("test closed")
        return {
            arm: {int(seed): scores for seed, scores in of.items()}
            for arm, of in closed["scores"].items()
        }

    def _open(self) -> None:
        if self.ledger.events("test opened"):
            self.ledger.write("test resumed")
            return
        # What was tested by hand is no reason to stop, and none to be silent.
        self.ledger.write("test opened", tested_before=tested_runs(self.runs.directory))

    def _fit(self, arm: Arm, seed: int) -> None:
        words = self.runs.words(arm.configs, self.chosen[arm.name])
        try:
            self.runs.fit(_experiment(arm), _name(seed), [*words, f"--seed_everything={seed}"])
        except SettingError as error:
            raise ValueError(
                f"the chosen setting of {arm.name} failed with the seed {seed} ({error}): it is "
                "not one to report; narrow the space, and give another --study"
            ) from error


def _experiment(arm: Arm) -> str:
    return f"final/{arm.name}"


def _name(seed: int) -> str:
    return f"seed-{seed}"
