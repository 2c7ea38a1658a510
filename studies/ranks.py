"""Methods over several data sets."""

from collections.abc import Mapping
from typing import Any, Literal


def mean_ranks(
    scores: Mapping[Any, Mapping[Any, float]], direction: Literal["min", "max"]
) -> dict[Any, float]:
    """The mean over data sets of a method's rank, 1 being the best; equal ones share a rank.

    >>> mean_ranks({"cub": {"a": 0.5, "b": 0.4}, "cars": {"a": 0.3, "b": 0.3}}, "max")
    {'a': 1.25, 'b': 1.75}

    Args:
        scores: A score by data set and method.
        direction: Whether smaller or larger scores are better.

    Raises:
        ValueError: A method has no score on a data set that another has one on.
    """
    methods = list(dict.fromkeys(method for of in scores.values() for method in of))
    for data, of in scores.items():
        if missing := [str(method) for method in methods if method not in of]:
            raise ValueError(
                f"ranks need every method on every data set; {data} has no {', '.join(missing)}"
            )
    ranks = [_ranks(of, direction) for of in scores.values()]
    return {method: sum(of[method] for of in ranks) / len(ranks) for method in methods}


def _ranks(scores: Mapping[Any, float], direction: Literal["min", "max"]) -> dict[Any, float]:
    sign = 1 if direction == "min" else -1
    signed = {method: sign * score for method, score in scores.items()}
    return {
        method: 0.5
        + sum(other < own for other in signed.values())
        + sum(other == own for other in signed.values()) / 2
        for method, own in signed.items()
    }
