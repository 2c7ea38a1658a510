"""How many seeds a difference needs to be seen."""

import math
from bisect import bisect_left

MOST_SEEDS = 100_000


def power_of(seeds: int, difference: float, deviation: float) -> float:
    """How likely a paired t-test at 95 % calls a true difference one.

    P(|T| > t(n - 1)) for T of Student's noncentral distribution around difference · √n / deviation.

    Args:
        seeds: Pairs of runs, 2 or more.
        difference: The true one; larger is seen more often.
        deviation: Standard deviation of the difference of a pair; larger hides it.
    """
    # Here, since compare does without unless asked.
    from scipy.special import nctdtr, stdtrit

    if deviation == 0:
        return float(difference != 0)
    centre = abs(difference) * math.sqrt(seeds) / deviation
    bound = stdtrit(seeds - 1, 0.975)
    return float(1 - nctdtr(seeds - 1, centre, bound) + nctdtr(seeds - 1, centre, -bound))


def seeds_for(difference: float, deviation: float, power: float = 0.8) -> int | None:
    """The fewest seeds with which a paired t-test sees a difference so often; None over 100,000.

    >>> seeds_for(difference=0.5, deviation=1.0)
    34

    Args:
        difference: The smallest that matters, in the units of the score.
        deviation: Standard deviation of the difference of a pair of runs.
        power: How often it is to be seen; larger takes more seeds.

    Raises:
        ValueError: The difference is 0, or the power no share.
    """
    if difference == 0 or not math.isfinite(difference):
        raise ValueError(f"the difference to see must be a number other than 0; got {difference}")
    if not 0 < power < 1:
        raise ValueError(f"the power is a share between 0 and 1, not {power}")
    if power_of(MOST_SEEDS, difference, deviation) < power:
        return None
    seeds = range(2, MOST_SEEDS + 1)
    return seeds[bisect_left(seeds, power, key=lambda n: power_of(n, difference, deviation))]
