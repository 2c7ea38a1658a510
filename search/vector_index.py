"""A FAISS index that is kept in a file, grows and shrinks, and tells distances by itself."""

from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from ranklight.kernels.checks import check_counts
from ranklight.search.approximate import index_name, num_cells
from ranklight.search.backends import faiss
from ranklight.search.order import sort_lists

Kind = Literal["Exact", "IVFFlat", "IVFPQ", "HNSW"]
Kept = Literal["float32", "half", "int8", "binary"]

_FAISS_NAME = {"float32": "Flat", "half": "SQfp16", "int8": "SQ8", "binary": "RaBitQ"}
_LEARNT_FROM, _A_CELL = 1 << 16, 64


class Layout(NamedTuple):
    """What an index keeps of a vector, and how it looks for it.

    Args:
        kind: `Exact` compares with every row; the others are those of `ApproximateSearch`.
        kept: Numbers of 4 or 2 bytes, of 1 byte (least to most of each dimension), or of 1 bit
            (RaBitQ, after a random rotation; it adds 8 bytes a row and estimates distances); IVFPQ
            keeps codes of its own.
        prefix: Only the first so many dimensions, as Matryoshka embeddings are cut; 0: all.
        pca: Only so many principal components; 0: all dimensions.
        effort: Cells that are searched, or length of the search in the graph: more finds more and
            takes longer.
    """

    kind: Kind = "Exact"
    kept: Kept = "float32"
    prefix: int = 0
    pca: int = 0
    effort: int = 32

    def __str__(self) -> str:
        parts: list[str] = [self.kind]
        if self.kind != "IVFPQ":
            parts.append(self.kept)
        parts += [f"prefix {self.prefix}"] * bool(self.prefix)
        parts += [f"PCA {self.pca}"] * bool(self.pca)
        return ", ".join(parts)

    @property
    def is_exact(self) -> bool:
        """Whether the nearest vectors are found whatever they are."""
        return self == Layout(effort=self.effort)


class VectorIndex:
    """Vectors in a FAISS index on the CPU, of which a row is known by its position.

        >>> index = VectorIndex.learn(Layout(), np.eye(4, dtype="f"), rows=4)
        >>> index.add(np.eye(4, dtype="f"))
        >>> index.nearest(np.array([[0, 0, 0.9, 0.1]], dtype="f"), 2)[1]
        array([[2, 3]])

    Args:
        faiss_index: As FAISS reads or makes it; squared Euclidean distances.
        layout: How it was made.
        normalised: Vectors have length 1: a prefix is brought to length 1 again.
    """

    def __init__(self, faiss_index: Any, layout: Layout, normalised: bool = True) -> None:
        self.faiss_index = faiss_index
        self.layout = layout
        self.normalised = normalised

    @classmethod
    def learn(
        cls, layout: Layout, sample: Float[np.ndarray, "n d"], rows: int, normalised: bool = True
    ) -> "VectorIndex":
        """An empty index that has learnt its cells, codes and components from some of the rows.

        Args:
            layout: What to make.
            sample: `rows_to_learn_from` of them, drawn at random.
            rows: How many will be added, about.
            normalised: Vectors have length 1.

        Raises:
            ValueError: The layout does not fit these vectors.
            ImportError: FAISS is not installed.
        """
        check_layout(layout, sample.shape[1], rows)
        index = cls(None, layout, normalised)
        sample = index.shortened(sample)
        dimensions = layout.pca or sample.shape[1]
        name = _FAISS_NAME[layout.kept]
        if layout.kind != "Exact":
            name = index_name(layout.kind, rows, dimensions, name)
        factory = _library().index_factory
        index.faiss_index = factory(sample.shape[1], ",".join([*_turned(layout, dimensions), name]))
        _learn_without_warnings(index.faiss_index)
        index.faiss_index.train(sample)
        return index

    @classmethod
    def read(cls, path: Path, layout: Layout, normalised: bool = True) -> "VectorIndex":
        """The index that `write` wrote.

        Raises:
            ValueError: The file is cut off or no index of FAISS; names it.
        """
        try:
            return cls(_library().read_index(str(path)), layout, normalised)
        except RuntimeError as error:
            raise ValueError(f"{path} is not a whole FAISS index: build it again") from error

    def write(self, path: Path) -> None:
        """Keep it in a file.

        Raises:
            OSError: It could not be written.
        """
        try:
            _library().write_index(self.faiss_index, str(path))
        except RuntimeError as error:
            raise OSError(f"{path} could not be written: {error}") from error

    def __len__(self) -> int:
        return int(self.faiss_index.ntotal)

    def add(self, vectors: Float[np.ndarray, "n d"]) -> None:
        """Append rows."""
        self.faiss_index.add(self.shortened(vectors))

    def nearest(
        self,
        queries: Float[np.ndarray, "n d"],
        k: int,
        allowed: Bool[np.ndarray, " m"] | None = None,
    ) -> tuple[Float[np.ndarray, "n k"], Int[np.ndarray, "n k"]]:
        """Squared distances and positions of the k nearest, nearest first, at ties by position.

        Args:
            queries: What to find neighbours of.
            k: How many.
            allowed: True for the rows that may be found; all by default.

        Returns:
            Infinite and −1 where fewer were found.
        """
        check_counts(k=k)
        parameters = self._parameters(k, allowed)
        queries = self.shortened(queries)
        # faiss.contrib.torch_utils, which others import, puts a search without parameters over it.
        search = getattr(self.faiss_index, "search_numpy", self.faiss_index.search)
        distance, found = search(queries, k, params=parameters)
        distance = np.where(found < 0, np.inf, np.maximum(distance, 0)).astype(np.float64)
        ordered = sort_lists(torch.from_numpy(distance), torch.from_numpy(found))
        return ordered[0].numpy(), ordered[1].numpy()

    def vectors(self, rows: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n d"]:
        """What is kept of these rows, as vectors of the index's own dimensions."""
        inner = _library().try_extract_index_ivf(self.faiss_index)
        if inner is not None:
            inner.make_direct_map()
        kept: np.ndarray = self.faiss_index.reconstruct_batch(np.asarray(rows, dtype=np.int64))
        return kept

    def remove(self, rows: Int[np.ndarray, " n"]) -> None:
        """Forget these rows; those behind them move up.

        A graph cannot forget: HNSW is linked anew from the vectors that it keeps.
        """
        rows = np.unique(np.asarray(rows, dtype=np.int64))
        if self.layout.kind == "HNSW":
            kept = self.vectors(np.setdiff1d(np.arange(len(self)), rows))
            self.faiss_index.reset()
            self.faiss_index.add(kept)
            return
        self.faiss_index.remove_ids(rows)
        inner = _library().try_extract_index_ivf(self.faiss_index)
        if inner is not None:
            _move_up(inner, rows)

    def shortened(self, vectors: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n e"]:
        """Vectors of the dimensions that the index takes."""
        if self.layout.prefix and vectors.shape[1] > self.layout.prefix:
            vectors = vectors[:, : self.layout.prefix]
            if self.normalised:
                length = np.linalg.norm(vectors, axis=1, keepdims=True)
                vectors = vectors / np.maximum(length, np.finfo(np.float32).tiny)
        return np.ascontiguousarray(vectors, dtype=np.float32)

    def _parameters(self, k: int, allowed: Bool[np.ndarray, " m"] | None) -> Any:
        library = _library()
        chosen: dict[str, Any] = {}
        if allowed is not None:
            chosen["sel"] = library.IDSelectorBatch(np.flatnonzero(allowed))
        effort = min(self.layout.effort, len(self))
        if self.layout.kind == "HNSW":
            # A graph is never searched shorter than the list that is wanted.
            of_kind = library.SearchParametersHNSW(efSearch=max(effort, k), **chosen)
        elif self.layout.kind != "Exact":
            binary = self.layout.kept == "binary" and self.layout.kind == "IVFFlat"
            kind = library.IVFRaBitQSearchParameters if binary else library.SearchParametersIVF
            of_kind = kind(nprobe=effort, **chosen)
        elif self.layout.kept == "binary":
            of_kind = library.RaBitQSearchParameters(**chosen)
        else:
            of_kind = library.SearchParameters(**chosen)
        if _turned(self.layout, 1):
            return library.SearchParametersPreTransform(index_params=of_kind)
        return of_kind


def rows_to_learn_from(layout: Layout, rows: int) -> int:
    """How many rows an index learns its cells, codes and components from."""
    if layout.kind in ("Exact", "HNSW") and layout.kept in ("float32", "half") and not layout.pca:
        return 1
    cells = num_cells(rows) if layout.kind in ("IVFFlat", "IVFPQ") else 0
    return min(rows, max(_LEARNT_FROM, _A_CELL * cells))


def check_layout(layout: Layout, dimensions: int, rows: int) -> None:
    """Refuse a layout that does not fit vectors of so many dimensions.

    Raises:
        ValueError: It names no kind, or takes more dimensions or rows than there are.
    """
    if layout.kind not in get_args(Kind) or layout.kept not in get_args(Kept):
        raise ValueError(
            f"an index is one of {get_args(Kind)} and keeps {get_args(Kept)}; got "
            f"{layout.kind!r} and {layout.kept!r}"
        )
    check_counts(effort=layout.effort, rows=rows)
    if rows == 1 and not layout.is_exact:
        raise ValueError("there is one vector alone: an index of it can only be exact")
    if layout.kind == "IVFPQ" and layout.kept != "float32":
        raise ValueError(f"IVFPQ keeps codes of its own: leave out {layout.kept}, or take IVFFlat")
    if not 0 <= layout.prefix <= dimensions:
        raise ValueError(f"a prefix has 1 to {dimensions} dimensions, not {layout.prefix}")
    most = min(layout.prefix or dimensions, rows)
    if not 0 <= layout.pca <= most:
        raise ValueError(
            f"{rows} vectors of {layout.prefix or dimensions} dimensions have at most {most} "
            f"principal components, not {layout.pca}"
        )
    if layout.kind != "Exact":
        index_name(layout.kind, rows, layout.pca or layout.prefix or dimensions)


def _library() -> Any:
    library = faiss()
    if library is None:
        raise ImportError("an index needs FAISS: install faiss-cpu or faiss-gpu")
    return library


def _turned(layout: Layout, dimensions: int) -> list[str]:
    """FAISS's name of what is done to a vector first: bits want dimensions of equal weight."""
    binary = layout.kept == "binary"
    if layout.pca:
        return [f"PCA{'R' * binary}{layout.pca}"]
    return [f"RR{dimensions}"] * binary


def _learn_without_warnings(index: Any) -> None:
    """Let k-means learn from few rows in silence: how well it did, recall says."""
    library = _library()
    if (inner := library.try_extract_index_ivf(index)) is None:
        return
    inner = library.downcast_index(inner)
    learning = [inner.cp, *([inner.pq.cp] if hasattr(inner, "pq") else [])]
    for each in learning:
        each.min_points_per_centroid = 1


def _move_up(inner: Any, removed: Int[np.ndarray, " n"]) -> None:
    """Let the numbers in the cells be positions again, after rows were removed."""
    lists, library = inner.invlists, _library()
    for cell in range(inner.nlist):
        size = lists.list_size(cell)
        if size:
            ids = library.rev_swig_ptr(lists.get_ids(cell), size)
            ids -= np.searchsorted(removed, ids)
