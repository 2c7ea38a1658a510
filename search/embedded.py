"""Embeddings with what is known of them: what every search and every evaluation takes."""

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from ranklight.kernels.checks import check_integers, check_tensors, check_values_are_there
from ranklight.search.shards import Shards

_ROWS = 4096


class Embedded:
    """Embeddings, the label and the id of each, and which rows of all ranks' they are.

        >>> rows = Embedded(torch.rand(3, 8), torch.tensor([0, 0, 1]))
        >>> rows.ids, rows.shards.size
        (tensor([0, 1, 2]), 3)

    Args:
        embeddings: One row an image, on any device; their gradient is not followed.
        labels: A class, a vector or whatever else is compared; by default every row's own id, so
            that no two are alike.
        ids: Which image each row is; by default its position among the rows of all ranks. A query
            is never found in a gallery under its own id, where both were given ids.
        shards: Which rows these are, where ranks share them; all of them by default.
        groups: The camera, session, ... of each, −1 for none; what that means an evaluation says.

    Raises:
        TypeError: Something is no tensor, or ids or groups are no integers.
        ValueError: Embeddings are not a matrix of floats, the arguments differ in length, or they
            are on different devices.
    """

    def __init__(
        self,
        embeddings: Float[Tensor, "n d"],
        labels: Shaped[Tensor, "n ..."] | None = None,
        ids: Int[Tensor, "n"] | None = None,
        shards: Shards | None = None,
        groups: Int[Tensor, "n"] | None = None,
    ) -> None:
        check_values_are_there(embeddings=embeddings)
        if embeddings.ndim != 2 or not embeddings.is_floating_point():
            raise ValueError(
                "embeddings are a matrix of floats, one row an image, not "
                f"{embeddings.dtype} of shape {list(embeddings.shape)}"
            )
        self.embeddings = embeddings.detach()
        self.shards = Shards.unsharded(len(embeddings)) if shards is None else shards
        self.has_ids = ids is not None
        own = self.shards.own.to(embeddings.device)
        ids = own if ids is None else ids
        check_integers(ids=ids)
        self.ids = ids.long()
        self.labels = self.ids if labels is None else labels
        check_tensors(embeddings=embeddings, ids=self.ids, labels=self.labels)
        of_rows = {"positions": own, "ids": self.ids, "labels": self.labels}
        if groups is not None:
            check_tensors(embeddings=embeddings, groups=groups)
            check_integers(groups=groups)
            of_rows["groups"] = groups = groups.long()
        self.groups = groups
        for name, values in of_rows.items():
            count = len(values) if values.ndim else "no row of"
            if count != len(embeddings):
                raise ValueError(f"{len(embeddings)} embeddings came with {count} {name}")

    def to(self, device: torch.device | str) -> "Embedded":
        """The same rows on another device."""
        ids = self.ids.to(device) if self.has_ids else None
        groups = None if self.groups is None else self.groups.to(device)
        return Embedded(
            self.embeddings.to(device), self.labels.to(device), ids, self.shards, groups
        )

    def with_embeddings(self, embeddings: Float[Tensor, "n e"]) -> "Embedded":
        """The same images, embedded in another way."""
        ids = self.ids if self.has_ids else None
        return Embedded(embeddings, self.labels, ids, self.shards, self.groups)

    def identified(self) -> "Embedded":
        """The same rows, with ids: two sets that are made of them know which images they share."""
        return Embedded(self.embeddings, self.labels, self.ids, self.shards, self.groups)

    def positions_of(self, ids: Int[Tensor, "c"]) -> Int[Tensor, "c"]:
        """At which position among the rows of all ranks each of these images is; collective.

        Raises:
            ValueError: An image is not there; names it.
        """
        found = self.find(ids)
        missing = found < 0
        if missing.any():
            raise ValueError(
                f"{len(torch.unique(ids[missing]))} images were not embedded, "
                f"the first is {ids[missing][0].item()}"
            )
        return found

    def find(self, ids: Int[Tensor, "c"]) -> Int[Tensor, "c"]:
        """At which position each of these images is, −1 where it is not there; collective.

        Raises:
            ValueError: Two rows have one id; names it.
        """
        check_values_are_there(embeddings=self.embeddings, ids=ids)
        check_integers(ids=ids)
        ids = ids.long()
        known, order = self.shards.all_gather(self.ids).sort(stable=True)
        twice = known[1:] == known[:-1]
        if twice.any():
            raise ValueError(
                f"two rows have the id {known[1:][twice][0].item()}: each image needs its own"
            )
        if len(known) == 0:
            return torch.full_like(ids, -1)
        found = torch.searchsorted(known, ids.contiguous()).clamp(max=len(known) - 1)
        return torch.where(known[found] == ids, order[found], -1)


def own_positions(queries: Embedded, gallery: Embedded | None) -> Int[Tensor, "n"]:
    """Where each query itself is in the gallery, −1 where it is not; collective.

    Without a gallery the queries are searched among themselves. Two sets of rows share an image
    where both were given ids, and share one.
    """
    if gallery is None:
        return queries.shards.own.to(queries.embeddings.device)
    if gallery is queries or not (queries.has_ids and gallery.has_ids):
        return torch.full_like(queries.ids, -1)
    return gallery.find(queries.ids)


def check_searchable(queries: Embedded, gallery: Embedded | None = None) -> None:
    """Raise a ValueError, the same on every rank, if these cannot be compared; collective.

    Args:
        queries: What to look for.
        gallery: Where; among the queries themselves by default.
    """
    check_comparable(queries, gallery)
    for rows in (queries,) if gallery is None else (queries, gallery):
        check_finite(rows.embeddings, rows.shards)


def check_comparable(queries: Embedded, gallery: Embedded | None = None) -> None:
    """Raise a ValueError if no numbers could make these comparable."""
    among = queries if gallery is None else gallery
    if among.shards.size == 0:
        raise ValueError("the gallery has no rows: nothing can be found")
    if queries.shards.size == 0:
        raise ValueError("there are no queries to look for")
    if among.shards.ranks != queries.shards.ranks:
        raise ValueError(
            f"{queries.shards.ranks} ranks share the queries and {among.shards.ranks} the gallery: "
            "the same ranks must share both"
        )
    dimensions = queries.embeddings.shape[1], among.embeddings.shape[1]
    if dimensions[0] != dimensions[1]:
        raise ValueError(
            f"queries of {dimensions[0]} dimensions cannot be compared to a gallery of "
            f"{dimensions[1]}"
        )
    if dimensions[0] == 0:
        raise ValueError("embeddings have no dimensions: nothing tells them apart")
    if among.embeddings.device != queries.embeddings.device:
        raise ValueError(
            f"queries on {queries.embeddings.device} cannot be compared to a gallery on "
            f"{among.embeddings.device}"
        )


def check_finite(embeddings: Float[Tensor, "n d"], shards: Shards | None = None) -> None:
    """Raise a ValueError that says how many embeddings are not finite and which is the first.

    With `shards`, which say which rows these are of those of all ranks, all ranks raise it.
    """
    broken = embeddings.new_zeros(len(embeddings), dtype=torch.uint8)
    # NaN or infinity leave no sum finite. Neither may large numbers, hence the look at each row.
    if not embeddings.sum().isfinite():
        finite = [rows.isfinite().all(1) for rows in torch.split(embeddings, _ROWS)]
        broken = torch.cat(finite).logical_not_().byte()
    if shards is not None:
        broken = shards.all_gather(broken)
    if broken.any():
        where = broken.nonzero().squeeze(1)
        raise ValueError(
            f"{len(where)} of {len(broken)} embeddings hold NaN or infinity, "
            f"the first at row {where[0].item()}: they cannot be ranked"
        )
