"""What the gallery holds for each query: what is right, what is wrong, and what is neither."""

from collections.abc import Callable, Iterator
from typing import Literal, Protocol, get_args, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ranklight.kernels.checks import check_values_are_there, is_integer
from ranklight.kernels.chunks import chunks
from ranklight.search.embedded import Embedded, own_positions

Apart = Literal["image", "group", "class_and_group"]
"""What a query is never compared with, beside itself: nothing else, all of its group (camera,
session, ...), or what of its group is of its class."""

_ELEMENTS = 1 << 22


@runtime_checkable
class Answers(Protocol):
    """Of this rank's queries what is right (relevance above 0), wrong, and junk, which is neither.

    Junk is left out of a ranking as if the gallery did not hold it; a query itself is never asked
    about. `relevant` and `junk` count them.
    """

    relevant: Int[Tensor, "n"]
    junk: Int[Tensor, "n"]

    def judge(
        self, row: Int[Tensor, "b"], found: Int[Tensor, "b k"]
    ) -> tuple[Float[Tensor, "b k"] | Bool[Tensor, "b k"], Bool[Tensor, "b k"]]:
        """Relevance of gallery rows to some of the queries (0 for −1), and which are junk."""

    def best(self, row: Int[Tensor, "b"], k: int) -> Float[Tensor, "b k"]:
        """The k largest relevances to some of the queries, descending, 0 past the end."""


Judge = Callable[[Embedded, Embedded | None], Answers]
"""Makes the answers of queries in a gallery, or among themselves; collective."""


class ClassAnswers:
    """Right is what is of the query's class.

        >>> rows = Embedded(torch.rand(4, 8), torch.tensor([0, 0, 0, 1]),
        ...                 groups=torch.tensor([5, 5, 6, 5]))
        >>> answers = ClassAnswers(rows, apart="class_and_group")
        >>> answers.relevant, answers.junk
        (tensor([1, 1, 2, 0]), tensor([1, 1, 0, 0]))

    Args:
        queries: Labelled by one class number each; of groups where `apart` asks for them.
        gallery: Likewise; the other queries by default.
        apart: What a query is never compared with. A group of −1 is nobody's.

    Raises:
        ValueError: Labels are no classes, or groups are needed and not there.
    """

    def __init__(
        self, queries: Embedded, gallery: Embedded | None = None, apart: Apart = "image"
    ) -> None:
        among = queries if gallery is None else gallery
        check_classes(queries.labels, among.labels)
        self.own_labels = queries.labels.long()
        self.labels = among.shards.all_gather(among.labels.long())
        own = own_positions(queries, gallery)
        self.apart = _Apart(queries, gallery, apart, own)
        of_class = _matches(self.own_labels, self.labels)
        of_class -= ((own >= 0) & (self.labels[own] == self.own_labels)).long()
        both = self.apart.count(self.own_labels, self.labels)
        self.relevant = of_class - both
        self.junk = both if apart != "group" else self.apart.count()

    def judge(
        self, row: Int[Tensor, "b"], found: Int[Tensor, "b k"]
    ) -> tuple[Bool[Tensor, "b k"], Bool[Tensor, "b k"]]:
        """Which gallery rows are of the query's class, and which are junk."""
        same = (self.labels[found] == self.own_labels[row, None]) & (found >= 0)
        junk = self.apart.among(row, found, same)
        return same & ~junk, junk

    def best(self, row: Int[Tensor, "b"], k: int) -> Float[Tensor, "b k"]:
        """1 for each that is right."""
        return _ones(self.relevant[row], k)


class GradedAnswers:
    """Right is, more or less, what a relevance of labels says: that of multi-hot labels, say.

        >>> from ranklight.pairs import LabelOverlap
        >>> rows = Embedded(torch.rand(3, 8), torch.tensor([[1, 1], [0, 1], [1, 1]]))
        >>> GradedAnswers(rows, relevance=LabelOverlap()).best(torch.tensor([0]), k=3)
        tensor([[1.0000, 0.5000, 0.0000]], dtype=torch.float64)

    Args:
        queries: With labels of whatever kind `relevance` takes.
        gallery: Likewise; the other queries by default.
        relevance: From two sets of labels to R; above 0 is right, and more is better.
        apart: What a query is never compared with: `image` or `group`.

    Raises:
        ValueError: Groups are needed and not there, or a relevance is NaN.
    """

    def __init__(
        self,
        queries: Embedded,
        gallery: Embedded | None = None,
        *,
        relevance: nn.Module,
        apart: Apart = "image",
    ) -> None:
        among = queries if gallery is None else gallery
        self.own_labels, self.relevance = queries.labels, relevance
        self.labels = among.shards.all_gather(among.labels.contiguous())
        self.own = own_positions(queries, gallery)
        self.apart = _Apart(queries, gallery, apart, self.own)
        self.junk = self.apart.count()
        self.relevant = torch.zeros_like(self.junk)
        rows = torch.arange(len(self.junk), device=self.junk.device)
        for part in self._parts(rows):
            self.relevant[part] = (self._to_others(rows[part]) > 0).sum(1)

    def judge(
        self, row: Int[Tensor, "b"], found: Int[Tensor, "b k"]
    ) -> tuple[Float[Tensor, "b k"], Bool[Tensor, "b k"]]:
        """Relevance of gallery rows, and which are junk."""
        gains = torch.zeros(found.shape, dtype=torch.float64, device=found.device)
        for part in self._parts(row):
            gains[part] = self._to_others(row[part]).gather(1, found[part].clamp(min=0))
        return gains.masked_fill(found < 0, 0), self.apart.among(row, found, found >= 0)

    def best(self, row: Int[Tensor, "b"], k: int) -> Float[Tensor, "b k"]:
        """The k largest of each row, a few rows at a time."""
        best = torch.zeros(len(row), k, dtype=torch.float64, device=row.device)
        there = min(k, len(self.labels))
        for part in self._parts(row):
            best[part, :there] = self._to_others(row[part]).topk(there, dim=1).values
        return best

    def _parts(self, rows: Int[Tensor, "b"]) -> Iterator[slice]:
        """A few rows at a time, so that their relevance to the whole gallery fits."""
        return chunks(len(rows), max(1, _ELEMENTS // max(1, len(self.labels))))

    def _to_others(self, row: Int[Tensor, "b"]) -> Float[Tensor, "b m"]:
        """Relevance of the whole gallery, 0 for the query itself, for junk, and below 0."""
        relevance: Tensor = self.relevance(self.own_labels[row], self.labels).double()
        if relevance.isnan().any():
            raise ValueError("the relevance of some labels to others is NaN: check the labels")
        everything = torch.arange(len(self.labels), device=row.device).expand(len(row), -1)
        junk = self.apart.among(row, everything, torch.ones_like(everything, dtype=torch.bool))
        itself = everything == self.own[row, None]
        return relevance.clamp(min=0).masked_fill(junk | itself, 0)


class ListedAnswers:
    """Right is what a list says, as in landmark retrieval; another list says what is junk.

    A query itself is left out of its lists.

        >>> queries = Embedded(torch.rand(1, 8), ids=torch.tensor([7]))
        >>> gallery = Embedded(torch.rand(3, 8), ids=torch.tensor([1, 2, 3]))
        >>> answers = ListedAnswers(queries, gallery, relevant=torch.tensor([[7, 3]]),
        ...                         junk=torch.tensor([[7, 1]]))
        >>> answers.relevant, answers.junk
        (tensor([1]), tensor([1]))

    Args:
        queries: What to look for.
        gallery: Where; the other queries by default.
        relevant: (id of the query, id of the gallery's image), each once.
        junk: The same of what is neither right nor wrong.

    Raises:
        ValueError: A pair names an image that was not embedded, is there twice, or in both lists.
    """

    def __init__(
        self,
        queries: Embedded,
        gallery: Embedded | None = None,
        *,
        relevant: Int[Tensor, "p 2"],
        junk: Int[Tensor, "j 2"],
    ) -> None:
        among = queries if gallery is None else gallery
        self.size = among.shards.size
        own = own_positions(queries, gallery)
        sides = (self._keys(queries, among, own, pairs) for pairs in (relevant, junk))
        self.keys, self.junk_keys = sides
        if torch.isin(self.keys, self.junk_keys).any():
            raise ValueError("a listed image cannot be both relevant to a query and junk")
        rows = len(queries.ids)
        self.relevant, self.junk = (
            torch.bincount(keys // self.size, minlength=rows)
            for keys in (self.keys, self.junk_keys)
        )

    def judge(
        self, row: Int[Tensor, "b"], found: Int[Tensor, "b k"]
    ) -> tuple[Bool[Tensor, "b k"], Bool[Tensor, "b k"]]:
        """Which gallery rows are listed as right, and which as junk."""
        keys = row[:, None] * self.size + found
        there = found >= 0
        return (_is_in(keys, self.keys) & there), (_is_in(keys, self.junk_keys) & there)

    def best(self, row: Int[Tensor, "b"], k: int) -> Float[Tensor, "b k"]:
        """1 for each that is right."""
        return _ones(self.relevant[row], k)

    def _keys(
        self, queries: Embedded, among: Embedded, own: Tensor, pairs: Int[Tensor, "p 2"]
    ) -> Int[Tensor, "kept"]:
        """Row of the query × size of the gallery + position, ascending, of this rank's queries."""
        check_values_are_there(embeddings=queries.embeddings)
        check_values_are_there(pairs=pairs)
        if not is_integer(pairs):
            raise TypeError(f"listed ids must be integers; got {pairs.dtype}")
        if pairs.ndim != 2 or pairs.shape[1] != 2:
            raise ValueError(
                "lists hold (id of the query, id of the gallery's image), shape [p, 2]; got "
                f"{list(pairs.shape)}"
            )
        query, image = pairs.to(queries.ids.device).long().unbind(1)
        row = queries.shards.global_to_local(queries.positions_of(query))
        position = among.positions_of(image)
        # row −1, another rank's, finds the −1 at the end
        here = (row >= 0) & (position != torch.cat([own, own.new_tensor([-1])])[row])
        keys: Tensor
        keys, count = torch.unique(row[here] * self.size + position[here], return_counts=True)
        if (count > 1).any():
            raise ValueError("an image is listed twice for a query: each pair is given once")
        return keys


class _Apart:
    """Which of the gallery a query is not compared with because of its group."""

    def __init__(
        self, queries: Embedded, gallery: Embedded | None, apart: Apart, own: Int[Tensor, "n"]
    ) -> None:
        among = queries if gallery is None else gallery
        if apart not in get_args(Apart):
            raise ValueError(f"apart is one of {', '.join(get_args(Apart))}; got {apart!r}")
        self.own = own
        self.by_group = apart != "image"
        self.by_class = apart == "class_and_group"
        if not self.by_group:
            return
        lacking = queries.groups is None or among.groups is None
        if queries.shards.max(int(lacking)) or queries.groups is None or among.groups is None:
            raise ValueError(
                f"apart={apart!r} needs a group for queries and gallery, on every rank: a column "
                "`group` of the table, or the groups of a data set"
            )
        self.own_groups = queries.groups
        self.groups = among.shards.all_gather(among.groups)

    def count(
        self, own_labels: Tensor | None = None, labels: Tensor | None = None
    ) -> Int[Tensor, "n"]:
        """How many of a query's group there are, itself not counted; with labels of its class."""
        if not self.by_group:
            return torch.zeros_like(self.own)
        own, all_of = self.own_groups, self.groups
        if own_labels is not None and labels is not None:
            own, all_of = _paired(own_labels, own, labels, all_of)
        itself = (self.own >= 0) & (all_of[self.own] == own)
        return (_matches(own, all_of) - itself.long()).masked_fill(self.own_groups < 0, 0)

    def among(
        self, row: Int[Tensor, "b"], found: Int[Tensor, "b k"], same_class: Bool[Tensor, "b k"]
    ) -> Bool[Tensor, "b k"]:
        """Which of these are left out."""
        if not self.by_group:
            return torch.zeros_like(found, dtype=torch.bool)
        own = self.own_groups[row, None]
        there = (self.groups[found] == own) & (own >= 0) & (found >= 0)
        return there & same_class if self.by_class else there


def check_classes(*labels: Tensor) -> None:
    """Raise a ValueError if labels are not one integer a row."""
    for given in labels:
        if given.ndim != 1 or not is_integer(given):
            raise ValueError(
                "retrieval is scored by one integer class a row (shape [n]), not by labels of type "
                f"{given.dtype} and shape {list(given.shape)}; labels of another kind need a "
                "relevance, such as LabelOverlap for multi-hot ones"
            )


def _ones(counts: Int[Tensor, "b"], k: int) -> Float[Tensor, "b k"]:
    """As many ones in a row as are counted, then zeros."""
    return (torch.arange(k, device=counts.device) < counts[:, None]).double()


def _matches(own: Int[Tensor, "n"], among: Int[Tensor, "m"]) -> Int[Tensor, "n"]:
    """How many of a set are equal to each."""
    values, counts = torch.unique(among, return_counts=True)
    index = torch.searchsorted(values, own.contiguous()).clamp(max=len(values) - 1)
    return torch.where(values[index] == own, counts[index], 0)


def _paired(
    own_labels: Tensor, own_groups: Tensor, labels: Tensor, groups: Tensor
) -> tuple[Int[Tensor, "n"], Int[Tensor, "m"]]:
    """A number for each (class, group), the same for equal ones."""
    both = [torch.cat(pair) for pair in ((own_labels, labels), (own_groups, groups))]
    codes = [torch.unique(values, return_inverse=True)[1] for values in both]
    numbers = codes[0] * (int(codes[1].max()) + 1) + codes[1]
    return numbers[: len(own_labels)], numbers[len(own_labels) :]


def _is_in(keys: Int[Tensor, "b k"], known: Int[Tensor, "p"]) -> Bool[Tensor, "b k"]:
    if len(known) == 0:
        return torch.zeros_like(keys, dtype=torch.bool)
    place = torch.searchsorted(known, keys).clamp(max=len(known) - 1)
    return known[place] == keys
