"""Which images a network takes for others: the hardest negatives of every training image."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ranklight.kernels.checks import check_counts, check_finite, whole
from ranklight.search import Embedded, neighbour_lists
from ranklight.search.order import distances_of

HardLists = Int[Tensor, "n k"]
"""Of each image the nearest ones of other classes, nearest first; -1 where there are no more."""


@dataclass(frozen=True)
class Mining:
    """When the whole training set is searched, and what is kept.

    Args:
        every_n_epochs: How often the lists are made anew. Each time costs a pass over the training
            images without gradients, as evaluation sees them, and an exact search of all in all.
        first_epoch: The first epoch with lists; batches are random before. The lists of a network
            that knows nothing yet are of colours and backgrounds.
        negatives: Length of the lists; longer is more varied and less hard.
        margin: Negatives whose similarity is above that of the nearest image of the own class by
            more than this are taken for false ones, copies under another label, and left out; below
            0 it leaves out true ones, too, but surely all copies (NV-Retriever, Moreira et al.,
            2024, arXiv 2407.15831, has −0.05). None leaves out nothing.

    Raises:
        TypeError: Something is no number, or not a whole one where one is needed.
        ValueError: A number that cannot be.
    """

    every_n_epochs: int = 1
    first_epoch: int = 0
    negatives: int = 10
    margin: float | None = None

    def __post_init__(self) -> None:
        check_counts(every_n_epochs=self.every_n_epochs, negatives=self.negatives)
        if whole(self.first_epoch, "first_epoch") < 0:
            raise ValueError(f"first_epoch of mining must be 0 or more; got {self.first_epoch}")
        if self.margin is not None:
            check_finite(margin=self.margin)

    def is_due(self, epoch: int) -> bool:
        """Whether the lists are made anew before this epoch."""
        since = epoch - self.first_epoch
        return since >= 0 and since % self.every_n_epochs == 0


@runtime_checkable
class Mined(Protocol):
    """A batch sampler that draws by lists of hard negatives."""

    mining: Mining

    def take_lists(self, lists: HardLists) -> None:
        """Draw by these from now on."""


def hardest_negatives(images: Embedded, negatives: int, margin: float | None = None) -> HardLists:
    """The nearest images of other classes, by the order of `ExactSearch`, over all ranks.

    Collective; every rank gets the lists of all. While it looks, a rank holds all embeddings.

        >>> images = Embedded(torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([0, 0, 1]))
        >>> hardest_negatives(images, 2)
        tensor([[ 2, -1],
                [ 2, -1],
                [ 1,  0]])

    Args:
        images: With one class each.
        negatives: Length of the lists.
        margin: See `Mining`.

    Returns:
        Positions among the images of all ranks.
    """
    shards = images.shards
    gallery = Embedded(shards.all_gather(images.embeddings), shards.all_gather(images.labels))
    own = shards.own.to(gallery.embeddings.device)
    limits = None
    if margin is not None:
        limits = _nearest_positives(gallery)[own] + margin
    lists = own.new_full((len(own), negatives), -1)
    _, inverse, sizes = torch.unique(gallery.labels, return_inverse=True, return_counts=True)
    counts = (sizes[inverse] - 1 + negatives)[own]
    queries = Embedded(gallery.embeddings[own], gallery.labels[own])
    # What is left out for its margin makes room for what is further away, until all were seen.
    while (counts > 0).any():
        unfinished = torch.zeros_like(counts)
        for row, found in neighbour_lists(queries, gallery, counts + (counts > 0)):
            kept = _kept(queries, gallery, row, own[row], found, limits)
            column = kept.cumsum(1) - 1
            row_of, at = (kept & (column < negatives)).nonzero(as_tuple=True)
            lists[row[row_of], column[row_of, at]] = found[row_of, at]
            more = (kept.sum(1) < negatives) & (counts[row] < len(gallery.labels))
            unfinished[row] = torch.where(more, 2 * counts[row], 0)
        counts = unfinished.clamp(max=len(gallery.labels))
    return shards.all_gather(lists)


def _kept(
    queries: Embedded,
    gallery: Embedded,
    row: Int[Tensor, "b"],
    itself: Int[Tensor, "b"],
    found: Int[Tensor, "b k"],
    limits: Float[Tensor, "n"] | None,
) -> Tensor:
    """Which of the found are negatives, and true ones."""
    there = found.clamp(min=0)
    kept = (found >= 0) & (gallery.labels[there] != queries.labels[row, None])
    if limits is not None:
        similarity = 1 - 0.5 * distances_of(queries.embeddings[row], gallery.embeddings, found)
        kept &= similarity <= limits[row, None]
    return kept


def _nearest_positives(images: Embedded) -> Float[Tensor, "n"]:
    """The similarity of each image to the nearest other one of its class; −∞ where it is alone."""
    best = images.embeddings.new_full((len(images.labels),), -torch.inf, dtype=torch.float64)
    order = images.labels.argsort(stable=True)
    _, sizes = torch.unique(images.labels, return_counts=True)
    for rows in torch.split(order, sizes.tolist()):
        if len(rows) > 1:
            own = images.embeddings[rows].double()
            similarity = 1 - 0.5 * torch.cdist(own, own).square()
            best[rows] = similarity.fill_diagonal_(-torch.inf).max(1).values
    return best
