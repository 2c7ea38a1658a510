"""What the best of n trials would have been: how a result depends on the budget of its search."""

from collections.abc import Sequence
from math import comb
from typing import Literal


def expected_best_of_n(values: Sequence[float], mode: Literal["min", "max"]) -> list[float]:
    """The mean best of n of the N trials, over all ways to pick n, for n = 1 .. N.

    With v₁ ≤ ... ≤ v_N: Σᵢ C(i − 1, n − 1) / C(N, n) vᵢ (Tang et al., Showing Your Work Doesn't
    Always Work, ACL 2020, arXiv 2004.13705), which is not biased as that of Dodge et al., 2019,
    who draw with replacement. Of a sampler that learns from the trials before, trials are
    not exchangeable, and the curve says less than a search of n trials would have found.

    >>> expected_best_of_n([0.1, 0.3, 0.2], "max")
    [0.2, 0.26666666666666666, 0.3]

    Args:
        values: The score of each trial.
        mode: Whether the smallest is best, or the largest.

    Raises:
        ValueError: There are no trials.
    """
    count = len(values)
    if not count:
        raise ValueError("the best of n trials needs one trial or more; got none")
    rising = sorted(values, reverse=mode == "min")
    return [_mean_best(rising, n) for n in range(1, count + 1)]


def _mean_best(rising: Sequence[float], n: int) -> float:
    ways = comb(len(rising), n)
    return sum(comb(place, n - 1) / ways * rising[place] for place in range(n - 1, len(rising)))
