"""What anchors are compared with: embeddings, their labels, and which pairs count (M)."""

from typing import NamedTuple, cast

import torch
import torch.distributed as dist
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from ranklight.kernels.checks import check_counts, check_not_negative, check_positive, whole
from ranklight.kernels.distributed import (
    all_gather,
    all_reduce_sum,
    check_as_many_on_every_rank,
    rank_and_world_size,
)
from ranklight.kernels.eager import eager_on_cpu
from ranklight.kernels.random_bits import random_bits
from ranklight.kernels.unit_vectors import unit_vectors
from ranklight.pairs.checks import check_batch, check_classes


class References(NamedTuple):
    """References of n anchors. The anchors themselves lead, or are absent."""

    embeddings: Float[Tensor, "m d"]
    labels: Shaped[Tensor, "m ..."]
    mask: Bool[Tensor, "n m"]
    memory: "References | None" = None
    """More references, for a loss term of their own."""
    weight: float = 1.0
    """What the term of the memory is multiplied by."""
    penalty: Float[Tensor, ""] | None = None
    """What the references themselves cost, beside what is paid for their pairs."""
    relevance: Float[Tensor, "n m"] | None = None
    """R, where pairs were given and no labels say it."""


class InBatch(nn.Module):
    """The references are the batch itself; on several processes the global batch, with gradient.

    A rank's own anchors come first, so the pairs of an image with itself are the diagonal of the
    mask, on any number of ranks. Every rank must hold the same number of anchors: ranks that do not
    are told so, on the CPU at any batch and on other devices, where that waits, at the first.

    Raises:
        ValueError: Ranks hold different numbers of anchors.

    Example:
        >>> InBatch()(torch.zeros(2, 3), torch.tensor([0, 1])).mask.tolist()
        [[False, True], [True, False]]
    """

    def __init__(self) -> None:
        super().__init__()
        self._compared = False

    def forward(
        self,
        embeddings: Float[Tensor, "n d"],
        labels: Shaped[Tensor, "n ..."],
        index: Int[Tensor, " n"] | None = None,
    ) -> References:
        """The global batch, own anchors first, everything but the self pairs."""
        check_batch(embeddings, labels, index)
        if rank_and_world_size()[1] > 1 and (eager_on_cpu(embeddings) or not self._compared):
            check_as_many_on_every_rank(embeddings, "anchors")
            self._compared = True
        references, ref_labels = own_first(embeddings), own_first(labels)
        mask = torch.ones(
            len(embeddings), len(references), dtype=torch.bool, device=embeddings.device
        )
        return References(references, ref_labels, _without_diagonal(mask))


class ClassCenters(nn.Module):
    """The references are one or more vectors a class (proxies, centers). They hold no anchor.

    Centers are parameters, learned by the loss like any other; or, with `center_learning_rate`,
    they have no gradient, and after each batch in training the closest center c of each anchor's
    class moves:

        c ← c − γ Σ_i (c − z_i) / (1 + number of i)      over the anchors i closest to c

    the rule of the center loss (Wen et al., ECCV 2016), over the anchors of all ranks.

    With `sampled_classes`, a step in training has the classes of its batch and others drawn anew
    each time, so many in all: Partial FC (An et al.: Killing Two Birds With One Stone, CVPR 2022,
    arXiv 2203.15565), for a softmax over very many classes. The draw is a function of (seed, step,
    class), so the same on all ranks and in a run that goes on; a rank holds all centers. Centers
    that are not drawn have the gradient 0, with which an optimizer with momentum or weight decay
    moves them still; insightface's class leaves them alone.

    Args:
        num_classes: Classes are labelled 0..num_classes − 1. None: the classes of the training
            split, when a run begins.
        embedding_dim: Size of the encoder's output; None: what it is, when a run begins.
        normalize: Put the centers on the unit sphere, as the embeddings should be then.
        centers_per_class: Columns of a class; they are neighbours in S.
        center_learning_rate: γ, above 0, 0.5 in the paper; larger follows the batch closer. None:
            centers are learned.
        center_merging: τ, what the mean distance between the centers of a class costs, which merges
            those that are not needed: 0.2 for `SoftTripleLoss` (Qian et al., ICCV 2019).
        sampled_classes: Classes a step in training, those of the global batch among them; fewer are
            faster and see fewer negatives. None: all.
        seed: Another seed draws other classes.

    Raises:
        TypeError: A setting is no number, or labels are not integers.
        ValueError: What is given of the centers is out of range or does not go together; the global
            batch has more images than classes are sampled; embeddings have another dimension than
            the centers, labels are not one class an image; or, on the CPU, a label has no center.
        RuntimeError: A number was left out, and nobody called `complete`.

    Example:
        >>> centers = ClassCenters(num_classes=3, embedding_dim=2)
        >>> references = centers(torch.zeros(4, 2), torch.tensor([0, 1, 2, 2]))
        >>> references.labels.tolist(), tuple(references.mask.shape)
        ([0, 1, 2], (4, 3))
    """

    centers: Tensor | None
    classes: Tensor
    draws: Tensor

    def __init__(
        self,
        num_classes: int | None = None,
        embedding_dim: int | None = None,
        normalize: bool = True,
        centers_per_class: int = 1,
        center_learning_rate: float | None = None,
        center_merging: float = 0.0,
        sampled_classes: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        given = {"num_classes": num_classes, "embedding_dim": embedding_dim}
        check_counts(**{name: number for name, number in given.items() if number is not None})
        check_counts(centers_per_class=centers_per_class)
        check_not_negative(center_merging=center_merging)
        whole(seed, "seed")
        if center_learning_rate is not None:
            check_positive(center_learning_rate=center_learning_rate)
        self.num_classes = num_classes
        self.embedding_dim = embedding_dim
        self.normalize = normalize
        self.centers_per_class = centers_per_class
        self.center_learning_rate = center_learning_rate
        if center_merging and centers_per_class == 1:
            raise ValueError("center_merging needs several centers_per_class; got 1")
        self.center_merging = center_merging
        if sampled_classes is not None and center_learning_rate is not None:
            raise ValueError("sampled_classes needs centers that are learned by the loss")
        self.sampled_classes = sampled_classes
        self.seed = seed
        if sampled_classes is not None:
            check_counts(sampled_classes=sampled_classes)
            self.register_buffer("draws", torch.zeros((), dtype=torch.int64))
        self.register_buffer("classes", None, persistent=False)
        if center_learning_rate is None:
            self.register_parameter("centers", None)
        else:
            self.register_buffer("centers", None)
        if num_classes is not None and embedding_dim is not None:
            self.complete(torch.arange(num_classes), embedding_dim)

    def complete(self, classes: Int[Tensor, " c"], embedding_dim: int) -> None:
        """Draw the centers, now that the classes and the size of embeddings are known.

        Args:
            classes: The labels that have centers, ascending.
            embedding_dim: Size of the encoder's output; that of the constructor goes before it.
        """
        size = embedding_dim if self.embedding_dim is None else self.embedding_dim
        centers = torch.empty(len(classes) * self.centers_per_class, size)
        self.classes = classes.long()
        if self.center_learning_rate is None:
            self.centers = nn.Parameter(nn.init.kaiming_normal_(centers, mode="fan_out"))
        else:
            self.centers = nn.init.normal_(centers)

    def forward(
        self,
        embeddings: Float[Tensor, "n d"],
        labels: Shaped[Tensor, "n ..."],
        index: Int[Tensor, " n"] | None = None,
    ) -> References:
        """The centers of all classes, before they move; every pair counts."""
        check_batch(embeddings, labels, index)
        if self.centers is None:
            raise RuntimeError(
                "ClassCenters needs num_classes and embedding_dim, or a call of complete()"
            )
        self.check_labels(labels)
        needed, given = self.centers, embeddings
        if given.shape[1] != needed.shape[1] or given.device != needed.device:
            raise ValueError(
                f"embeddings must have {needed.shape[1]} dimensions on {needed.device}, as the "
                f"centers have; got {given.shape[1]} on {given.device}"
            )
        centers, classes = self.centers, self.classes
        if self.training and self.sampled_classes is not None:
            drawn = self._drawn(labels)
            centers, classes = centers[self._rows(drawn).flatten()], classes[drawn]
        if self.normalize:
            centers = unit_vectors(centers)
        ref_labels = classes.repeat_interleave(self.centers_per_class)
        mask = torch.ones((), dtype=torch.bool, device=embeddings.device)
        penalty = self._merging(centers) if self.center_merging else None
        if self.center_learning_rate is not None and self.training:
            centers = centers.clone()
            self._move(embeddings.detach(), labels, centers, self.center_learning_rate)
        return References(
            centers.to(embeddings.dtype),
            ref_labels,
            mask.expand(len(embeddings), len(centers)),
            penalty=penalty,
        )

    def check_labels(self, labels: Tensor) -> None:
        """Refuse labels of classes that have no center; their values on the CPU alone.

        Raises:
            TypeError: Labels are not integers.
            ValueError: They are not one class an image, or a class has no center.
        """
        if self.num_classes is not None:
            check_classes(labels, self.num_classes, "ClassCenters")
        elif eager_on_cpu(labels) and not (known := torch.isin(labels, self.classes.cpu())).all():
            raise ValueError(
                f"ClassCenters has centers of the {len(self.classes)} classes of training; class "
                f"{int(labels[~known][0])} is none of them"
            )

    def _rows(self, classes: Int[Tensor, " k"]) -> Int[Tensor, "k centers_per_class"]:
        """Where the centers of some classes, by their places, stand."""
        each = torch.arange(self.centers_per_class, device=classes.device)
        return classes.unsqueeze(1) * self.centers_per_class + each

    def _drawn(self, labels: Tensor) -> Tensor:
        """The places of the classes that this step has, ascending."""
        present = torch.searchsorted(self.classes, all_gather(labels.long()).flatten())
        number = min(cast(int, self.sampled_classes), len(self.classes))
        if len(present) > number:
            raise ValueError(
                f"sampled_classes must be at least the images of a global batch, {len(present)}; "
                f"got {self.sampled_classes}"
            )
        places = torch.arange(len(self.classes), device=labels.device)
        lots = random_bits(self.seed, self.draws, places)
        lots.index_fill_(0, present, torch.iinfo(lots.dtype).max)
        self.draws += 1
        return lots.topk(number, sorted=False).indices.sort().values

    def _merging(self, centers: Tensor) -> Tensor:
        """τ times the distances between centers of a class, as released: Σ / (classes · K (K − 1)).

        1e-5 under the root keeps the gradient of merged centers finite.
        """
        grouped = torch.unflatten(F.normalize(centers), 0, (-1, self.centers_per_class))
        distance: Tensor = (2 + 1e-5 - 2 * grouped @ grouped.mT).sqrt().triu(1)
        pairs = len(centers) * (self.centers_per_class - 1)
        return self.center_merging * distance.sum() / pairs

    @torch.no_grad()
    def _move(self, embeddings: Tensor, labels: Tensor, centers: Tensor, rate: float) -> None:
        own = self._rows(torch.searchsorted(self.classes, labels.long()))
        embeddings = embeddings.to(centers.dtype)
        distance = (embeddings.unsqueeze(1) - centers[own]).square().sum(2)
        closest = own.gather(1, distance.argmin(1, keepdim=True)).squeeze(1)
        total = torch.zeros_like(centers).index_add_(0, closest, centers[closest] - embeddings)
        count = centers.new_zeros(len(centers), 1)
        count.index_add_(0, closest, centers.new_ones(len(closest), 1))
        moved = centers - rate * all_reduce_sum(total) / (1 + all_reduce_sum(count))
        cast(Tensor, self.centers).copy_(moved)


def _without_diagonal(mask: Tensor) -> Tensor:
    return mask.fill_diagonal_(False) if mask.numel() else mask


def own_first(rows: Shaped[Tensor, "n ..."]) -> Shaped[Tensor, "m ..."]:
    """The rows of all ranks, as many on each, own ones first, with gradient."""
    if rank_and_world_size()[1] == 1:
        return rows
    shards, rank = all_gather(rows), dist.get_rank()
    return torch.cat([shards[rank], *shards[:rank], *shards[rank + 1 :]])
