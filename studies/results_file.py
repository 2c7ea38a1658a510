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
    from ranklight.files.writing import replacing

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
        ValueError: It has no column `experiment`, or a row is not one of a run; names the row.
    """
    runs, left_out = [], {}
    rows = _rows(path)
    for number, row in enumerate(rows, start=2):
        name = f"{path}:{number}"
        try:
            runs.append(_run(name, row, metrics))
        except LeftOutError as error:
            left_out[name] = str(error)
    return Found(runs, left_out)


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        raise FileNotFoundError(f"there is no CSV of runs {path} (from {Path.cwd()})")
    try:
        # A spreadsheet may have put a mark before the first column.
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows, columns = list(reader), list(reader.fieldnames or ())
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} must be a CSV with one row a run ({error})") from error
    if not rows or "experiment" not in columns:
        raise ValueError(
            f"{path} must have a row a run and a column experiment, as --keep_runs writes it; "
            f"it has {len(rows)} rows and {', '.join(columns) or 'no columns'}"
        )
    if len(set(columns)) < len(columns):
        twice = next(column for column in columns if columns.count(column) > 1)
        raise ValueError(f"{path} must have each column once; it has {twice!r} again")
    for number, row in enumerate(rows, start=2):
        # The reader puts what is too much under None, and None for what is missing.
        if None in row or None in row.values():
            raise ValueError(
                f"{path}:{number} must have a value for each of {len(columns)} columns, perhaps an "
                "empty one, and no more"
            )
    return rows


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
    if not row["experiment"].strip():
        raise ValueError(f"{name} must name its experiment; it is empty")
    dirty = row.get("dirty")
    return RunScores(
        name=name,
        experiment=row["experiment"],
        seed=_seed(name, row.get("seed")),
        scores=scores,
        config=_config(name, row),
        commit=row.get("commit") or None,
        dirty=dirty == "yes" if dirty else None,
        split_hash=row.get("split_hash") or None,
        versions=_versions(name, row.get("versions") or ""),
    )


def _seed(name: str, value: str | None) -> int | None:
    if not value:
        return None
    try:
        number = float(value)  # pandas writes 3.0 where a seed of the column is missing.
    except ValueError:
        number = math.nan
    if not number.is_integer():
        raise ValueError(
            f"{name} must have a whole number, or nothing, for its seed; got {value!r}"
        )
    return int(number)


def _versions(name: str, value: str) -> dict[str, str]:
    named = {package: of for package, _, of in (part.partition("==") for part in value.split())}
    if not all(named.values()):
        raise ValueError(f"{name} must have package==version, and blanks between; got {value!r}")
    return named


def _config(name: str, row: dict[str, str]) -> dict[str, Any]:
    """The columns that are no scores and not known: a.b.c is {a: {b: {c: value}}}."""
    config: dict[str, Any] = {}
    for column, value in row.items():
        if "/" not in column and column not in _KNOWN:
            *parents, last = column.split(".")
            place = config
            try:
                for parent in parents:
                    place = place.setdefault(parent, {})
                place[last] = yaml.safe_load(value)
            except (yaml.YAMLError, TypeError, AttributeError) as error:
                raise ValueError(
                    f"{name} must have a value as YAML writes it for {column}; got {value!r}"
                ) from error
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
