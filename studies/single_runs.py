"""One run of a study: fitted, or continued, and what it scored."""

import csv
import json
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ranklight.files.run_records import FILE, last_record

# A setting of which training diverges, or for which memory is too small, is a bad one.
_OF_THE_SETTING = ("FloatingPointError", "OutOfMemoryError", "torch.OutOfMemoryError")

# `ranklight <words>`, with what it says in a file; the exit status.
CommandLine = Callable[[Sequence[str], Path], int]


class SettingError(Exception):
    """A run failed because of its setting; says how."""


class Runs(NamedTuple):
    """How the runs of a study are made.

    Args:
        directory: Of the study.
        base: Words of the command line that every run has: its files, and what else was given.
        metric: The logged name that decides, `val/...`.
        mode: Whether the smallest is best, or the largest.
        command_line: Runs a command in a process of its own.
    """

    directory: Path
    base: tuple[str, ...]
    metric: str
    mode: Literal["min", "max"]
    command_line: CommandLine

    def words(self, configs: Sequence[str], values: Mapping[str, Any]) -> list[str]:
        """What follows `ranklight fit` for a setting."""
        files = [word for config in configs for word in ("-c", config)]
        set_to = [f"--{key}={_written(value)}" for key, value in values.items()]
        monitored = [f"--best.monitor={self.metric}", f"--best.mode={self.mode}"]
        return [*self.base, *files, *set_to, *monitored, "--test_after_fit=false"]

    def fit(self, experiment: str, name: str, words: Sequence[str]) -> float:
        """The best that a run scores in validation; it is fitted where it was not yet.

        A run that was killed goes on from its last checkpoint.

        Args:
            experiment: Its path below the study's directory.
            name: Of the run.
            words: From `words`, with the seed and the fold.

        Raises:
            SettingError: Training diverged, or memory was too small.
            ValueError: It failed otherwise; names its log.
        """
        run = self.directory / experiment / name
        if _outcome(run, "fit") != "finished":
            code = self.command_line(self._fit_words(experiment, run, words), self._log(run))
            self._check(code, run, "fit")
        return _best(run / "metrics.csv", self.metric, self.mode)

    def test(self, experiment: str, name: str) -> dict[str, float]:
        """What the best checkpoint of a run scores in test; it is tested where it was not yet.

        Raises:
            ValueError: It failed; names its log.
        """
        run = self.directory / experiment / name
        if _outcome(run, "test") != "finished":
            words = ["test", "-c", str(run / "config.yaml"), "--ckpt_path", "best"]
            self._check(self.command_line(words, self._log(run)), run, "test")
        record = last_record(run, "test")
        assert record is not None
        scores: dict[str, float | None] = record["scores"]
        return {metric: score for metric, score in scores.items() if score is not None}

    def is_fitted(self, experiment: str, name: str) -> bool:
        """Whether a run came to its end."""
        return _outcome(self.directory / experiment / name, "fit") == "finished"

    def _fit_words(self, experiment: str, run: Path, words: Sequence[str]) -> list[str]:
        if (run / "checkpoints" / "last.ckpt").exists():
            return ["fit", "-c", str(run / "config.yaml"), "--ckpt_path", "last"]
        # Killed between its first best checkpoint and its first last one: nothing goes on there.
        shutil.rmtree(run, ignore_errors=True)
        place = ["--runs", str(self.directory.parent), "--run", run.name]
        return ["fit", *words, *place, "--experiment", f"{self.directory.name}/{experiment}"]

    def _log(self, run: Path) -> Path:
        name = "-".join(run.relative_to(self.directory).parts)
        return self.directory / "logs" / f"{name}.txt"

    def _check(self, code: int, run: Path, stage: str) -> None:
        if code == 0:
            return
        outcome = _outcome(run, stage) or "it did not begin"
        if outcome.split(":")[0] in _OF_THE_SETTING:
            raise SettingError(outcome)
        raise ValueError(
            f"{stage} of the run {run} ended with code {code}: {last_words(self._log(run))}; mend "
            f"it and give the same command again, it goes on from there ({self._log(run)})"
        )


def last_words(log: Path) -> str:
    """The last line that a command wrote, without its name."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    last = next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
    return last.removeprefix("ranklight fit: ").removeprefix("error: ")


def tested_runs(directory: Path) -> list[str]:
    """The runs below a directory that have looked at their test part."""
    runs = (file.parent for file in sorted(directory.rglob(FILE)))
    return [str(run) for run in runs if _outcome(run, "test") is not None]


def _outcome(run: Path, stage: str) -> str | None:
    record = last_record(run, stage)
    return None if record is None else str(record["outcome"])


def _best(metrics: Path, metric: str, mode: Literal["min", "max"]) -> float:
    with metrics.open(newline="") as file:
        logged = [float(row[metric]) for row in csv.DictReader(file) if row.get(metric)]
    finite = [value for value in logged if math.isfinite(value)]
    if not finite:
        raise ValueError(f"{metrics} has no {metric}: validate at least once in a run")
    return max(finite) if mode == "max" else min(finite)


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
