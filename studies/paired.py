"""What a change does to a score, seed by seed."""

from collections.abc import Mapping


def paired_differences(scores: Mapping[int, float], base: Mapping[int, float]) -> dict[int, float]:
    """The score minus the base's, of each seed that both have.

    Runs of one seed begin with the same weights and see the same images first, so their difference
    varies less than the scores do.

    >>> paired_differences({0: 0.5, 1: 0.75, 2: 0.9}, {0: 0.25, 1: 0.5})
    {0: 0.25, 1: 0.25}

    Args:
        scores: By seed.
        base: By seed.

    Raises:
        ValueError: They have no seed in common.
    """
    shared = [seed for seed in scores if seed in base]
    if not shared:
        raise ValueError(
            "a difference within a seed needs seeds that both have; "
            f"got {_listed(scores)} and {_listed(base)}"
        )
    return {seed: scores[seed] - base[seed] for seed in shared}


def _listed(seeds: Mapping[int, float]) -> str:
    return ", ".join(map(str, seeds)) or "none"
