"""Several steps, one after the other."""

from collections.abc import Sequence

from ranklight.search.after.step import Retrieval, Step
from ranklight.search.embedded import Embedded


class Chain(Step):
    """Each step takes what the step before it gave; the order is part of the method.

    Usual: whitening, then augmentation of the gallery, then query expansion, then re-ranking. Every
    step is fitted on training embeddings as the encoder gives them.

        >>> from ranklight.search.after import AlphaQueryExpansion, KReciprocal
        >>> Chain([AlphaQueryExpansion(n=2), KReciprocal(k1=10)]).name
        'alpha_qe+k_reciprocal'

    Args:
        steps: In their order.

    Raises:
        ValueError: There are none.
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        if not steps:
            raise ValueError("a chain needs one step or more; got none")
        self.steps = tuple(steps)
        self.name = "+".join(step.name for step in steps)
        self.needs_training = any(step.needs_training for step in steps)

    def fit(self, training: Embedded) -> None:
        """Fit those that learn."""
        for step in self.steps:
            step.fit(training)

    def __call__(self, retrieval: Retrieval) -> Retrieval:
        """All steps."""
        for step in self.steps:
            retrieval = step(retrieval)
        return retrieval
