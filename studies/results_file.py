"""A CSV with one row a run: what is committed beside a table made of it."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from ranklight.studies.run_scores import Found, LeftOutError, RunScores, value_of

_KNOWN = ("experiment", "seed", "commit", "dirty", "split_hash", "versions")


def write_results_file(path: Path, runs: Sequence[RunScores], keys: Sequence[str] = ()) -> None:
    """Write the runs in the order of experiment and seed, their scores in all digits.

    Args:
        path: Of the CSV.
        runs: Whose scores to keep.
        keys: Of the configuration, whose values get a column each.

    Raises:
        LeftOutError: A run's configuration has no such key.
        OSError: It cannot be written; the file is as it was.
    """
    scores = sorted({name for run in runs for name in run.scores})
    # Here, since the room imports torch.
    from ranklight.writing import replacing

    with replacing(path) as fresh, fresh.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*_KNOWN, *keys, *scores])
        for run in sorted(runs, key=_order):
            values = [value_of(run, key) for key in keys]
            shown = [_written(run, name) for name in scores]
            writer.writerow([*_provenance(run), *values, *shown])


def read_results_file(path: Path, metrics: Sequence[str] | None = None) -> Found:
    """The runs of a CSV: `experiment`, `seed`, where they came from, and scores by logged name.

    Scores have a slash in their name; further columns are keys of the configuration.

    Args:
        path: Of the CSV.
        metrics: Which a run must have to count; None: all that its row has.

    Raises:
        FileNotFoundError: It is not there.
        ValueError: It has no column `experiment`, or a score in it is no number; names the row.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} must be a CSV with one row a run ({error})") from error
    if not rows or "experiment" not in rows[0]:
        raise ValueError(
            f"{path} must have a row a run and a column experiment, as --keep_runs writes it; "
            f"it has {len(rows)} rows and {', '.join(rows[0]) if rows else 'no columns'}"
        )
    runs, left_out = [], {}
    for number, row in enumerate(rows, start=2):
        name = f"{path}:{number}"
        try:
            runs.append(_run(name, row, metrics))
        except LeftOutError as error:
            left_out[name] = str(error)
    return Found(runs, left_out)


def _run(name: str, row: dict[str, str], metrics: Sequence[str] | None) -> RunScores:
    scores = {
        column: _number(name, column, value)
        for column, value in row.items()
        if "/" in column and value
    }
    for metric in metrics or ():
        if metric not in scores:
            there = ", ".join(sorted(scores)) or "no scores"
            raise LeftOutError(f"it has no {metric}; it has {there}")
    seed, dirty = row.get("seed"), row.get("dirty")
    return RunScores(
        name=name,
        experiment=row["experiment"],
        seed=int(seed) if seed and seed.lstrip("-").isdigit() else None,
        scores=scores,
        config=_config(row),
        commit=row.get("commit") or None,
        dirty=dirty == "yes" if dirty else None,
        split_hash=row.get("split_hash") or None,
        versions=dict(part.split("==", 1) for part in (row.get("versions") or "").split()),
    )


def _config(row: dict[str, str]) -> dict[str, Any]:
    """The columns that are no scores and not known: a.b.c is {a: {b: {c: value}}}."""
    config: dict[str, Any] = {}
    for column, value in row.items():
        if "/" not in column and column not in _KNOWN:
            *parents, last = column.split(".")
            place = config
            for parent in parents:
                place = place.setdefault(parent, {})
            place[last] = yaml.safe_load(value)
    return config


def _number(name: str, column: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{name} must have numbers for scores; its {column} is {value!r}")
    return number


def _order(run: RunScores) -> tuple[str, float, str]:
    return run.experiment, math.inf if run.seed is None else float(run.seed), run.name


def _provenance(run: RunScores) -> list[str]:
    dirty = "" if run.dirty is None else "yes" if run.dirty else "no"
    versions = " ".join(f"{name}=={of}" for name, of in run.versions.items() if of)
    seed = "" if run.seed is None else str(run.seed)
    return [run.experiment, seed, run.commit or "", dirty, run.split_hash or "", versions]


def _written(run: RunScores, name: str) -> str:
    # Scores are of float32: nine digits give each back.
    return f"{run.scores[name]:.9g}" if name in run.scores else ""
