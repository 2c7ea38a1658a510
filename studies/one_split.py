"""Whether runs may stand in one table."""

from collections import Counter
from collections.abc import Iterator, Sequence

from ranklight.studies.run_scores import RunScores


def check_one_split(runs: Sequence[RunScores]) -> None:
    """Refuse runs that were trained or tested on different images.

    Args:
        runs: Of one table, or of one data set of it.

    Raises:
        ValueError: Their split hashes differ; names a run of each.
    """
    of = {run.split_hash: run.name for run in reversed(runs) if run.split_hash is not None}
    if len(of) > 1:
        named = "; ".join(f"{split} as in {name}" for split, name in sorted(of.items()))
        raise ValueError(
            f"the runs must have one split of the data; got {len(of)}: {named}. Compare those of "
            "one split, or give --across_splits if the rows are meant to differ in it"
        )


def cautions(runs: Sequence[RunScores]) -> Iterator[str]:
    """What makes the comparison less sure: code, versions or splits that differ or are not known.

    Args:
        runs: Of one table.
    """
    dirty = [run.name for run in runs if run.dirty]
    if dirty:
        yield f"{_runs(len(dirty))} of code that was not committed: {_some(dirty)}"
    commits = Counter(run.commit for run in runs if run.commit)
    if len(commits) > 1:
        yield f"the runs are of {len(commits)} commits: {_some([c[:12] for c in commits])}"
    for package in dict.fromkeys(name for run in runs for name in run.versions):
        versions = {run.versions[package] for run in runs if run.versions.get(package)}
        if len(versions) > 1:
            yield f"the runs are of several versions of {package}: {_some(sorted(versions))}"
    unknown = [run.name for run in runs if run.split_hash is None]
    if unknown:
        which = f"{len(unknown)} of {len(runs)} runs do not say which split of the data they had"
        yield f"{which}, so that it is one is not checked: {_some(unknown)}"


def _runs(count: int) -> str:
    return "1 run is" if count == 1 else f"{count} runs are"


def _some(names: Sequence[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
