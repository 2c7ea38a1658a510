"""Many comparisons at once."""

import math
from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for there being several, after Holm (1979).

    The i-th smallest of m is multiplied by m + 1 - i, and is no smaller than those before it. To
    call those below 0.05 different errs anywhere among them in at most 5 % of such tables.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]

    Args:
        p_values: Of one family of comparisons; nan where there is no test, which does not count.
    """
    tested = [number for number, p in enumerate(p_values) if not math.isnan(p)]
    adjusted = [math.nan] * len(p_values)
    largest = 0.0
    for done, number in enumerate(sorted(tested, key=lambda number: p_values[number])):
        largest = max(largest, min(1.0, (len(tested) - done) * p_values[number]))
        adjusted[number] = largest
    return adjusted
