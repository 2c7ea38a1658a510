"""What every step after the encoder is: from a search to another search."""

from typing import NamedTuple

from ranklight.search.embedded import Embedded
from ranklight.search.exact import ExactSearch
from ranklight.search.neighbours import AnySearch


class Retrieval(NamedTuple):
    """A search: what `neighbour_lists` and `metrics.evaluate_retrieval` take.

    Args:
        queries: What to look for.
        gallery: Where; None: among the queries.
        search: How.
    """

    queries: Embedded
    gallery: Embedded | None = None
    search: AnySearch = ExactSearch


class Step:
    """A search in, a search out: other embeddings, or other lists of the same.

    Collective: every rank calls it, with its share of the rows.
    """

    name: str
    """What its scores are logged under."""

    needs_training = False
    """Whether `fit` comes first."""

    def fit(self, training: Embedded) -> None:
        """Learn from embeddings of training images; most steps learn nothing."""

    def __call__(self, retrieval: Retrieval) -> Retrieval:
        """The search after the step."""
        raise NotImplementedError
