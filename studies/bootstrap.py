"""Intervals over seeds and over the queries of the test."""

import math

import numpy as np
from jaxtyping import Float

from ranklight.studies.intervals import Interval, interval_of, student_interval

_BLOCK = 1 << 22


def hierarchical_interval(
    values: Float[np.ndarray, "seeds queries"],
    weights: Float[np.ndarray, "seeds queries"],
    samples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Mean over seeds of Σ values / Σ weights, with its 95 % interval over seeds and queries.

    Each sample draws n - 1 of the n seeds (as many as make the variance over few seeds unbiased,
    Rao and Wu 1988), and as many queries as there are, the same ones for all seeds, for all were
    tested on them. The interval is Student's of the samples' deviation, with the degrees of freedom
    of Satterthwaite: those of the seeds where these vary the most, those of the queries where those
    do. It is never narrower than the interval over seeds alone. Of one seed it is over queries.

    Args:
        values: What each query adds to a score; for paired differences the run's less the base's.
        weights: 1 for a mean over queries; the number of triplets for a mean over triplets.
        samples: More give a steadier interval; 2,000 are good for two digits of it.
        seed: Of the draws.

    Raises:
        ValueError: There is no query, or none that has a weight.
    """
    seeds, queries = values.shape
    if queries == 0 or seeds == 0 or (weights.sum(1) == 0).any():
        raise ValueError(
            f"an interval over queries needs one or more; got {queries} of {seeds} seeds"
        )
    means = values.sum(1) / weights.sum(1)
    drawn = _sample_means(values, weights, samples, np.random.default_rng(seed))
    of_both = _of_both(means, float(drawn.var(ddof=1)), queries)
    if seeds == 1:
        return of_both
    of_seeds = student_interval(means.tolist())
    return max(of_both, of_seeds, key=lambda interval: (interval.half_width, interval.p_value))


def _of_both(means: Float[np.ndarray, "seeds"], variance: float, queries: int) -> Interval:
    """Student's interval with the degrees of freedom of Satterthwaite."""
    seeds = len(means)
    of_seeds = min(float(means.var(ddof=1)) / seeds, variance) if seeds > 1 else 0.0
    parts = (of_seeds, seeds - 1), (variance - of_seeds, queries - 1)
    shares = sum(part**2 / freedom for part, freedom in parts if freedom > 0)
    freedom = variance**2 / shares if shares > 0 else 1.0
    return interval_of(float(means.mean()), math.sqrt(variance), freedom, seeds)


def _sample_means(
    values: Float[np.ndarray, "seeds queries"],
    weights: Float[np.ndarray, "seeds queries"],
    samples: int,
    draw: np.random.Generator,
) -> Float[np.ndarray, "samples"]:
    """The mean of each sample; a block of samples at a time, so that millions of queries fit."""
    seeds, queries = values.shape
    at_once = max(1, _BLOCK // queries)
    means = []
    for start in range(0, samples, at_once):
        count = min(at_once, samples - start)
        # How often each query was drawn says all of a sample: a product in place of a gather.
        times = draw.multinomial(queries, np.full(queries, 1 / queries), size=count)
        ratios = (times @ values.T) / (times @ weights.T)
        chosen = draw.integers(seeds, size=(count, max(seeds - 1, 1)))
        means.append(np.take_along_axis(ratios, chosen, axis=1).mean(1))
    return np.concatenate(means)
