"""Runs that `ranklight fit` left in their directories."""

import csv
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from ranklight.files.run_records import FILE, read_records
from ranklight.studies.run_scores import Found, LeftOutError, RunScores

_NAMED = 8


def read_run_directories(where: Sequence[str], metrics: Sequence[str] | None = None) -> Found:
    """The runs below some directories, each by what its own best checkpoint scored.

    Args:
        where: Directories of runs, of experiments, or of many experiments.
        metrics: Which a run must have to count; None: whatever its test scored.

    Raises:
        FileNotFoundError: There is no run below one of them.
    """
    runs, left_out = [], {}
    for directory in _directories(where):
        try:
            runs.append(read_run(directory, metrics))
        except LeftOutError as error:
            left_out[str(directory)] = str(error)
    return Found(runs, left_out)


def read_run(directory: Path, metrics: Sequence[str] | None = None) -> RunScores:
    """A run that was fitted and saved, by what its own best checkpoint scored when tested last.

    Of its last checkpoint where nothing was validated; of val/... and train/... the last value.

    Args:
        directory: Of the run.
        metrics: Which it must have; None: whatever its test scored.

    Raises:
        LeftOutError: It does not count; says why.
    """
    stages = _stages(directory)
    config = _config(directory)
    fit = ([stage for stage in stages if stage.get("stage") == "fit"] or [{}])[-1]
    git = fit.get("git") or {}
    scores = {metric: score_of(directory, metric) for metric in metrics or ()}
    if metrics is None:
        scores = all_test_scores(directory)
    return RunScores(
        name=str(directory),
        experiment=str(config.get("experiment") or directory.parent.name),
        seed=_whole(fit.get("seed", config.get("seed_everything"))),
        scores=scores,
        config=config,
        directory=directory,
        commit=git.get("commit"),
        dirty=git.get("dirty"),
        split_hash=fit.get("split_hash"),
        versions=fit.get("versions") or {},
    )


def score_of(run: Path, metric: str) -> float:
    """What a run's own best checkpoint scored, or for what training logs its last value.

    Raises:
        LeftOutError: There is no such score, or the run does not count; says why.
    """
    tested = _own_test(run)
    if metric.startswith("test/") and tested is not None:
        return _checked(metric, tested)
    return _last_value(run, metric)


def all_test_scores(run: Path) -> dict[str, float]:
    """Everything that the last test of a run's own best checkpoint logged and that is a number.

    Raises:
        LeftOutError: It was not tested, or does not count.
    """
    tested = _own_test(run)
    if tested is None:
        rows = _metrics_file(run)
        names = [name for row in rows for name in row if name and name.startswith("test/")]
        tested = {name: _last_value(run, name) for name in dict.fromkeys(names)}
    scores = {name: score for name, score in tested.items() if isinstance(score, int | float)}
    if not scores:
        raise LeftOutError("it was not tested")
    return {name: float(score) for name, score in scores.items()}


def with_last_values(run: RunScores, metrics: Sequence[str]) -> RunScores:
    """A run with the last values of what it logged in training and validation, where it did.

    Args:
        run: With its test scores; without a directory it stays as it is.
        metrics: Logged names, as train/drift@10.
    """
    if run.directory is None:
        return run
    more = {}
    for metric in metrics:
        with suppress(LeftOutError):
            more[metric] = _last_value(run.directory, metric)
    return run._replace(scores={**run.scores, **more})


def _own_test(run: Path) -> dict[str, Any] | None:
    """The scores of the last test of the run's own best checkpoint; None if no test is recorded."""
    stages = _stages(run)
    checkpoints = {file.name for file in (run / "checkpoints").glob("*.ckpt")}
    fits = [number for number, stage in enumerate(stages) if stage["stage"] == "fit"]
    if stages and not fits:
        raise LeftOutError("it was not fitted, only " + ", ".join({s["stage"] for s in stages}))
    if not checkpoints and not any(stages[fit]["outcome"] == "finished" for fit in fits):
        raise LeftOutError("its fit saved nothing" if fits else "no fit of it is recorded")
    if not any(stage["stage"] == "test" for stage in stages):
        return None
    best = "best" if "best.ckpt" in checkpoints or not checkpoints else "last"
    own = [test for test in stages[fits[-1] :] if _is_of(test.get("checkpoint"), run, best)]
    finished = [test for test in own if test["stage"] == "test" and test["outcome"] == "finished"]
    if not finished:
        raise LeftOutError(f"its own {best}.ckpt was not tested since it was fitted")
    return dict(finished[-1].get("scores") or {})


def _stages(run: Path) -> list[dict[str, Any]]:
    try:
        return read_records(run)
    except (OSError, ValueError) as error:
        raise LeftOutError(f"its run.json cannot be read ({error})") from error


def _config(run: Path) -> dict[str, Any]:
    try:
        config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise LeftOutError(f"its config.yaml cannot be read ({reason})") from error
    return config if isinstance(config, dict) else {}


def _is_of(checkpoint: str | None, run: Path, name: str) -> bool:
    """By its place in the run, for a run may have been moved as a whole."""
    if checkpoint is None:
        return False
    file = Path(checkpoint)
    names = (f"{name}.ckpt", f"{name}.before.ckpt")
    return file.name in names and file.parent.parent.name == run.name


def _metrics_file(run: Path) -> list[dict[str, str]]:
    try:
        with (run / "metrics.csv").open(newline="") as file:
            return list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise LeftOutError(f"its metrics.csv cannot be read ({error})") from error


def _last_value(run: Path, metric: str) -> float:
    rows = _metrics_file(run)
    values = [row[metric] for row in rows if row.get(metric)]
    there = {name: float("nan") for row in rows for name, value in row.items() if value}
    return _checked(metric, {**there, metric: values[-1]} if values else there)


def _checked(metric: str, scores: Mapping[str, Any]) -> float:
    if metric not in scores:
        names = sorted(name for name in scores if name and "/" in name)
        near = get_close_matches(metric, names, n=_NAMED, cutoff=0) if names else ["no scores"]
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        raise LeftOutError(f"it has no {metric}; it has {', '.join(near)}{more}")
    try:
        value = float(scores[metric])
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise LeftOutError(f"its {metric} is {scores[metric]}, no number")
    return value


def _whole(seed: Any) -> int | None:
    return seed if isinstance(seed, int) and not isinstance(seed, bool) else None


def _directories(where: Sequence[str]) -> list[Path]:
    found: set[Path] = set()
    for start in where:
        files = (file for name in ("metrics.csv", FILE) for file in Path(start).rglob(name))
        below = {file.parent.resolve() for file in files}
        if not below:
            raise FileNotFoundError(
                f"there is no run in {start}: no metrics.csv and no run.json below (from "
                f"{Path.cwd()})"
            )
        found |= below
    return sorted(found)
