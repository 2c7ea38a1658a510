"""Prefixes of embeddings, each evaluated as if it were the whole embedding."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from pytorch_lightning import LightningModule
from torch import Tensor

from ranklight.callbacks.evaluation.embedding_evaluation import Sides
from ranklight.kernels.checks import check_counts
from ranklight.pairs import Matryoshka, prefix_of
from ranklight.search import Embedded


class Prefixes:
    """The first numbers of every embedding, as they are trained.

    Args:
        sizes: How many numbers. None: the sizes that the module trains by `pairs.Matryoshka`.

    Raises:
        ValueError: A size is below 1, or comes twice.
    """

    def __init__(self, sizes: Sequence[int] | None) -> None:
        check_counts(**{f"prefixes[{place}]": size for place, size in enumerate(sizes or ())})
        if sizes is not None and len(set(sizes)) < len(sizes):
            raise ValueError(f"prefixes must all be different; got {list(sizes)}")
        self._given = sizes
        self.sizes = tuple(sizes or ())
        self._cut: Callable[[Tensor, int], Tensor] = prefix_of

    def ask(self, module: LightningModule) -> None:
        """Take from a module what it trains, and refuse what is longer than its embeddings.

        Raises:
            ValueError: A prefix is longer than the embeddings.
        """
        trained = (part for part in module.modules() if isinstance(part, Matryoshka))
        if (matryoshka := next(trained, None)) is not None:
            self._cut = matryoshka.cut
            self.sizes = matryoshka.prefixes if self._given is None else self.sizes
        encoder: Any = getattr(module, "encoder", None)
        dimensions = getattr(encoder, "embedding_dim", None)
        longest = max(self.sizes, default=0)
        if dimensions is not None and longest > dimensions:
            raise ValueError(
                f"a prefix to evaluate must have at most the {dimensions} numbers of an embedding; "
                f"got {longest}"
            )

    def named(self, names: Iterable[str]) -> set[str]:
        """What scores of these names are called, of all prefixes."""
        known = [name for name in names if name != "queries"]
        return {f"d{size}/{name}" for size in self.sizes for name in known}

    def of(self, sides: Sides) -> Iterator[Sides]:
        """The sides with each prefix for embeddings."""
        for size in self.sizes:
            queries, gallery = self._prefix(sides.queries, size), sides.gallery
            gallery = gallery and self._prefix(gallery, size)
            yield sides._replace(name=f"{sides.name}/d{size}", queries=queries, gallery=gallery)

    def _prefix(self, rows: Embedded, size: int) -> Embedded:
        return rows.with_embeddings(self._cut(rows.embeddings, size))
