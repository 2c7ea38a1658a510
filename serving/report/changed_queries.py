"""Which queries a run fixed that another had wrong, and which it broke."""

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
    """Compare query by query, by file where both have files, else by index.

    Raises:
        ValueError: The runs have no query in common, or are compared by different scores.
    """
    if before.score != after.score:
        raise ValueError(
            f"two runs are compared by one score; the first has {before.score}, the second "
            f"{after.score}: give --score"
        )
    one, two = (
        {key: row for row, key in enumerate(_keys(of, before, after)) if of.counted[row]}
        for of in (before, after)
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


def _keys(of: QueryScores, before: QueryScores, after: QueryScores) -> list[object]:
    by_file = before.files is not None and after.files is not None
    return list(of.files) if by_file and of.files is not None else of.ids.tolist()
