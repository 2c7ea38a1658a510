"""Which queries a run fixed that another had wrong, and which it broke."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from ranklight.serving.report.query_scores import QueryScores


class ChangedQueries(NamedTuple):
    """The queries of two runs side by side.

    Attributes:
        before: Rows of the queries that both scored, in the first run's scores.
        after: The same queries in the second run's.
        gain: By how much each is better in the second; negative: worse.
        fixed: Which of them are better, the most first.
        broken: Which of them are worse, the most first.
        alone: How many queries only one run scored.
        p_value: Of the sign test: how probable is a difference at least as uneven if a changed
            query were as likely to be better as to be worse. With scores of 0 and 1 it is McNemar's
            exact test.
    """

    before: Int[np.ndarray, "n"]
    after: Int[np.ndarray, "n"]
    gain: Float[np.ndarray, "n"]
    fixed: Int[np.ndarray, "fixed"]
    broken: Int[np.ndarray, "broken"]
    alone: int
    p_value: float


def changed_queries(before: QueryScores, after: QueryScores) -> ChangedQueries:
    """Compare query by query, by file and box where both name these, else by index.

    Raises:
        ValueError: The runs have no query in common, or are compared by different scores.
    """
    if before.score != after.score:
        raise ValueError(
            f"two runs are compared by one score; the first has {before.score}, the second "
            f"{after.score}: give --score"
        )
    one, two = (
        {key: row for row, key in enumerate(keys) if of.counted[row]}
        for of, keys in zip((before, after), _keys(before, after), strict=True)
    )
    common = [key for key in one if key in two]
    if not common:
        raise ValueError(
            f"the runs have no query of {before.stage} in common: they must be of the same split "
            "of the same data"
        )
    rows = np.array([one[key] for key in common]), np.array([two[key] for key in common])
    gain = after.values[rows[1]] - before.values[rows[0]]
    gain = gain if after.larger_is_better else -gain
    order = np.argsort(-gain, kind="stable")
    fixed, broken = order[gain[order] > 0], order[gain[order] < 0][::-1]
    alone = len({*one, *two}) - len(common)
    return ChangedQueries(*rows, gain, fixed, broken, alone, sign_test(len(fixed), len(broken)))


def sign_test(better: int, worse: int) -> float:
    """The two-sided p-value of so many better and so many worse.

    >>> sign_test(0, 5), sign_test(3, 3)
    (0.0625, 1.0)
    """
    from scipy.stats import binomtest

    return float(binomtest(better, better + worse).pvalue) if better + worse else 1.0


def _keys(*both: QueryScores) -> Iterator[Sequence[object]]:
    """What names each query in both runs, and no other query of them."""
    shown = [
        None if of.files is None else list(zip(of.files, of.boxes, strict=True)) for of in both
    ]
    by_file = all(of is not None and len(set(of)) == len(of) for of in shown)
    for of, images in zip(both, shown, strict=True):
        yield images if by_file and images is not None else of.ids.tolist()
