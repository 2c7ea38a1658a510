"""Where one more run is expected."""

import math
import statistics
from collections.abc import Sequence


def prediction_interval(values: Sequence[float]) -> tuple[float, float]:
    """Where a further run scores in 95 % of tries: mean ± t(n - 1) · s · √(1 + 1 / n).

    >>> low, high = prediction_interval([0.5, 0.6, 0.7])
    >>> round(low, 3), round(high, 3)
    (0.103, 1.097)

    Args:
        values: Scores of two runs or more.

    Raises:
        ValueError: There are fewer.
    """
    count = len(values)
    if count < 2:
        raise ValueError(f"what a further run scores is told by two or more; got {count}")
    from scipy.special import stdtrit

    spread = statistics.stdev(values) * math.sqrt(1 + 1 / count)
    half_width = float(stdtrit(count - 1, 0.975)) * spread
    return statistics.fmean(values) - half_width, statistics.fmean(values) + half_width
