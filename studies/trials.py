"""The search: every arm has as many trials, and a trial is a setting scored on all folds."""

import statistics
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

from ranklight.studies.ledger import Ledger
from ranklight.studies.locks import claimed
from ranklight.studies.search_space import Arm
from ranklight.studies.single_runs import Runs, SettingError

_STARTUP_TRIALS = 5
_POLL_SECONDS = 1.0


class Search:
    """What is searched, and how.

    Args:
        runs: How runs are made.
        arms: Each with the budget.
        trials: The budget of an arm.
        folds: A trial trains on each; 1 is the data's own validation split.
        sampler: TPE learns from the trials before, random does not.
        seed: Of the sampler.
        prune: End a trial whose mean over the folds so far is below the median of the others.
    """

    def __init__(
        self,
        runs: Runs,
        arms: Sequence[Arm],
        trials: int,
        folds: int,
        sampler: Literal["tpe", "random"] = "tpe",
        seed: int = 0,
        prune: bool = True,
    ) -> None:
        self.runs, self.arms, self.trials, self.folds = runs, arms, trials, folds
        self.sampler, self.seed, self.prune = sampler, seed, prune
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._storage = JournalStorage(JournalFileBackend(str(runs.directory / "journal.log")))

    def of(self, arm: Arm) -> list[FrozenTrial]:
        """The trials of an arm so far, in their order."""
        return self._study(arm, 0).get_trials(deepcopy=False)

    def choose(self, ledger: Ledger) -> dict[str, dict[str, Any]]:
        """The setting of each arm's best trial; the ledger is told once.

        Args:
            ledger: Of the study.

        Raises:
            ValueError: No trial of an arm came to its end.
        """
        best = {arm.name: (self.best(arm), self.values(arm, self.best(arm))) for arm in self.arms}
        with claimed(self.runs.directory / ".choose", wait=True):
            if not ledger.events("chosen"):
                said = {
                    arm: {"trial": trial.number, "folds": mean_of_folds(trial), "setting": setting}
                    for arm, (trial, setting) in best.items()
                }
                ledger.write("chosen", metric=self.runs.metric, arms=said)
        return {arm: setting for arm, (_, setting) in best.items()}

    def best(self, arm: Arm) -> FrozenTrial:
        """The trial of the best mean over all folds.

        Raises:
            ValueError: No trial of the arm came to its end.
        """
        ended = [trial for trial in self.of(arm) if trial.state == TrialState.COMPLETE]
        if not ended:
            raise ValueError(
                f"no trial of the arm {arm.name} came to its end, so none can be chosen: see "
                f"trials.csv in {self.runs.directory} for the reasons, and narrow its space"
            )
        pick = max if self.runs.mode == "max" else min
        return pick(ended, key=mean_of_folds)

    def values(self, arm: Arm, trial: FrozenTrial | Trial) -> dict[str, Any]:
        """The keys of an arm as a trial has them."""
        drawn = {key: of.draw(trial, key) for key, of in arm.ranges.items()}
        return {**arm.values, **drawn}

    def run(self) -> Iterator[tuple[Arm, int]]:
        """Do trials until all arms have theirs, together with others that do the same.

        A trial of a process that was killed is taken over, with the folds that it had done.

        Yields:
            Whose trial ended.
        """
        while any(self._is_open(arm) for arm in self.arms):
            with self._next() as taken:
                if taken is None:
                    time.sleep(_POLL_SECONDS)
                    continue
                arm, trial = taken
                self._do(arm, trial)
                yield arm, trial.number

    def _is_open(self, arm: Arm) -> bool:
        trials = self.of(arm)
        return len(trials) < self.trials or any(_is_running(trial) for trial in trials)

    @contextmanager
    def _next(self) -> Iterator[tuple[Arm, Trial] | None]:
        """A trial that nobody does: one left by a killed process, or a new one."""
        for arm, number in self._candidates():
            with claimed(self._place(arm, number) / ".lock") as mine:
                # Another may have ended it since it was looked up.
                if mine and _is_running(self.of(arm)[number]):
                    study = self._study(arm, number)
                    yield arm, Trial(study, self.of(arm)[number]._trial_id)
                    return
        yield None

    def _candidates(self) -> Iterator[tuple[Arm, int]]:
        for arm in self.arms:
            yield from ((arm, trial.number) for trial in self.of(arm) if _is_running(trial))
        for arm in sorted(self.arms, key=lambda arm: len(self.of(arm))):
            # One at a time, so that no arm gets a trial more than the others.
            with claimed(self.runs.directory / ".ask", wait=True):
                number = len(self.of(arm))
                if number < self.trials:
                    self._study(arm, number).ask()
            if number < self.trials:
                yield arm, number

    def _do(self, arm: Arm, trial: Trial) -> None:
        values, scores = self.values(arm, trial), list[float]()
        words = self.runs.words(arm.configs, values)
        study = self._study(arm, trial.number)
        for fold in range(self.folds):
            split = [f"--data.init_args.fold=[{fold},{self.folds}]"] if self.folds > 1 else []
            experiment = f"search/{arm.name}/trial-{trial.number:04}"
            try:
                of_fold = [*words, *split, "--seed_everything=0"]
                scores.append(self.runs.fit(experiment, f"fold-{fold}", of_fold))
            except SettingError as error:
                trial.set_user_attr("reason", str(error))
                study.tell(trial, state=TrialState.FAIL)
                return
            with warnings.catch_warnings():
                # A trial that was taken over has said so before.
                warnings.filterwarnings("ignore", message=".*already reported")
                trial.report(statistics.fmean(scores), fold)
            trial.set_user_attr("scores", scores)
            if self.prune and fold + 1 < self.folds and trial.should_prune():
                study.tell(trial, state=TrialState.PRUNED)
                return
        study.tell(trial, statistics.fmean(scores))

    def _place(self, arm: Arm, number: int) -> Path:
        return self.runs.directory / "search" / arm.name / f"trial-{number:04}"

    def _study(self, arm: Arm, number: int) -> optuna.Study:
        """The arm's, with a sampler that draws for one trial: the same in any process."""
        return optuna.create_study(
            study_name=arm.name,
            storage=self._storage,
            direction="maximize" if self.runs.mode == "max" else "minimize",
            sampler=self._sampler(f"{self.seed} {arm.name} {number}"),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=_STARTUP_TRIALS),
            load_if_exists=True,
        )

    def _sampler(self, words: str) -> optuna.samplers.BaseSampler:
        seed = int.from_bytes(sha256(words.encode()).digest()[:4], "big")
        if self.sampler == "random":
            return optuna.samplers.RandomSampler(seed=seed)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
            # Others' trials that run count as bad ones, so that not all try the same.
            return optuna.samplers.TPESampler(seed=seed, constant_liar=True)


def mean_of_folds(trial: FrozenTrial) -> float:
    """The score of a trial that came to its end."""
    assert trial.value is not None
    return trial.value


def _is_running(trial: FrozenTrial) -> bool:
    return bool(trial.state == TrialState.RUNNING)
