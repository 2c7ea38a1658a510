"""The scores of every query of several runs, beside each other."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from ranklight.files.parquet import readable
from ranklight.studies.run_scores import LeftOutError, RunScores

# What a stored score may differ from the logged one: means of float32 in another order.
_TOLERANCE = 1e-4


class QueryScores(NamedTuple):
    """One run's score as a ratio of sums over queries, Σ values / Σ weights.

    Args:
        ids: Of the queries, ascending.
        values: What each query adds to the score.
        weights: 1 for a mean over queries; the number of triplets for one over triplets.
    """

    ids: Int[np.ndarray, "queries"]
    values: Float[np.ndarray, "queries"]
    weights: Float[np.ndarray, "queries"]


def query_scores(run: RunScores, metric: str) -> QueryScores:
    """Read from the run's `scores/` what each query of a metric scored.

    Args:
        run: In a directory.
        metric: A logged name: test/recall@1, test/<data set>/map@r, test/similarity_precision.

    Raises:
        LeftOutError: The scores of queries are not there, or are of another test than the run's.
    """
    if run.directory is None:
        raise LeftOutError(
            "the scores of its queries are not kept; --queries needs run directories"
        )
    try:
        found = _from_files(run.directory / "scores", metric)
    except ValueError as error:
        raise LeftOutError(f"its scores of queries cannot be read ({error})") from error
    mean = float(found.values.sum() / found.weights.sum()) if len(found.ids) else float("nan")
    expected = run.scores[metric]
    if not abs(mean - expected) <= _TOLERANCE * max(1.0, abs(expected)):
        raise LeftOutError(
            f"its scores of queries give {metric} {mean:.4f}, its own test {expected:.4f}; they "
            "are of another test, so test its best.ckpt again"
        )
    return found


def stacked(
    runs: Sequence[QueryScores],
) -> tuple[Float[np.ndarray, "seeds queries"], Float[np.ndarray, "seeds queries"]]:
    """Values and weights of runs that were tested on the same queries, a row a run.

    Args:
        runs: Of one or several experiments.

    Raises:
        ValueError: They were not.
    """
    first = runs[0].ids
    for run in runs:
        if len(run.ids) != len(first) or (run.ids != first).any():
            raise ValueError(
                "an interval over queries needs runs that were tested on the same queries; got "
                f"tests of {len(first)} and of {len(run.ids)}, "
                f"of which {len(np.intersect1d(first, run.ids))} are the same"
            )
    return np.stack([run.values for run in runs]), np.stack([run.weights for run in runs])


def _from_files(folder: Path, metric: str) -> QueryScores:
    stage, *parts = metric.split("/")
    for length in range(len(parts)):
        name, column = "-".join([stage, *parts[:length]]), "/".join(parts[length:])
        for file, read in ((f"{name}.parquet", _means), (f"{name}-triplets.parquet", _triplets)):
            if column in _columns(folder / file):
                return read(folder / file, column)
    there = ", ".join(sorted(file.name for file in folder.glob(f"{stage}*.parquet"))) or "no file"
    raise LeftOutError(
        f"{metric} is no mean over queries in its scores/ ({there}); take it without --queries"
    )


def _columns(file: Path) -> list[str]:
    from pyarrow import parquet

    if not file.exists():
        return []
    with readable(file, "test the run again"):
        return list(parquet.read_schema(file).names)


def _read(file: Path, *columns: str) -> list[NDArray[Any]]:
    from pyarrow import parquet

    with readable(file, "test the run again"):
        table = parquet.read_table(file, columns=list(columns))
        return [np.asarray(table[name]) for name in columns]


def _means(file: Path, column: str) -> QueryScores:
    ids, values = _read(file, "id", column)
    # A query that has nothing relevant has no score.
    known = ~np.isnan(values.astype(np.float64))
    order = np.argsort(ids[known], kind="stable")
    values = values[known][order].astype(np.float64)
    return QueryScores(ids[known][order], values, np.ones(len(values)))


def _triplets(file: Path, column: str) -> QueryScores:
    """Sums over the triplets of a query; score@k is their total, the other a mean over triplets."""
    queries, of_triplets = _read(file, "query", column)
    ids, places = np.unique(queries, return_inverse=True)
    values = np.bincount(places, weights=of_triplets.astype(np.float64))
    is_total = column.startswith("score@")
    weights = np.full(len(ids), 1 / len(ids)) if is_total else np.bincount(places).astype(float)
    return QueryScores(ids, values, weights)
