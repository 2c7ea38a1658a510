"""A mean, and where it may lie."""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple


class Interval(NamedTuple):
    """A mean over runs, half of its 95 % interval, and the p-value of a mean of 0.

    Of one run half the interval and the p-value are nan.
    """

    mean: float
    half_width: float
    p_value: float
    runs: int

    def __str__(self) -> str:
        """Three decimals, as many digits as hundreds of queries can tell apart."""
        shown = rounded(self.mean)
        return shown if math.isnan(self.half_width) else f"{shown} ± {rounded(self.half_width)}"


def student_interval(values: Sequence[float]) -> Interval:
    """Mean over runs and its 95 % interval by Student's t: mean ± t(n - 1) · s / √n.

    >>> print(student_interval([0.5, 0.6, 0.7]))
    0.600 ± 0.248

    Args:
        values: A score of each run, or a difference of each pair of runs.

    Raises:
        ValueError: There are none.
    """
    if not values:
        raise ValueError("an interval needs the scores of one run or more; got none")
    count = len(values)
    if count < 2:
        return Interval(values[0], math.nan, math.nan, count)
    error = statistics.stdev(values) / math.sqrt(count)
    return interval_of(statistics.fmean(values), error, float(count - 1), count)


def interval_of(mean: float, error: float, freedom: float, runs: int) -> Interval:
    """The 95 % interval of a mean whose standard error has so many degrees of freedom.

    Args:
        mean: Over the runs.
        error: The standard error of the mean.
        freedom: Degrees of freedom of the error; fewer make the interval wider.
        runs: How many there are.
    """
    # Here, since one run needs no interval; and scipy.stats would take three times as long.
    from scipy.special import stdtr, stdtrit

    # Equal runs differ by rounding alone, which is no error.
    if error <= 1e-12 * abs(mean):
        return Interval(mean, 0.0, float(mean == 0), runs)
    p_value = 2 * float(stdtr(freedom, -abs(mean) / error))
    return Interval(mean, float(stdtrit(freedom, 0.975)) * error, p_value, runs)


def rounded(value: float) -> str:
    """As tables show it: three decimals of shares, fewer of larger numbers."""
    return f"{value:.{3 if abs(value) < 10 else 1 if abs(value) < 100 else 0}f}"
