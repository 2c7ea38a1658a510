"""mAP of 10,000 queries in a gallery on disk, with junk: `python -m benchmarks.large [ROWS]`.

Not in `make bench`, for it takes minutes; 10^6 rows are a file of 512 MB, 10^7 one of 5 GB.
"""

import tempfile
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch

from ranklight.files.markdown import table_lines
from ranklight.metrics import ClassAnswers, Scoring, evaluate_retrieval
from ranklight.search import BlockedSearch, Embedded

_QUERIES, _DIM, _CAMERAS = 10_000, 128, 6
_PER_CLASS = 20
_WRITTEN = 100_000


def main(rows: int = 1_000_000) -> bool:
    """Print time and memory; True if memory stays below 2 GiB."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        queries, gallery = _data(Path(folder) / "gallery.npy", rows)
        scoring = Scoring(partial(ClassAnswers, apart="class_and_group"), average_precision=(100,))
        search = partial(BlockedSearch, tell=partial(print, flush=True))
        with _OwnMemory() as memory:
            start = time.perf_counter()
            scores = evaluate_retrieval(queries, gallery, (1, 10), search, scoring=scoring)
            seconds = time.perf_counter() - start
        products = _products(queries, gallery)
    header = ["queries", "gallery", "time", "products alone", "own memory", "recall@1", "map@100"]
    cells = [f"{_QUERIES:,}", f"{rows:,} x {_DIM}", f"{seconds:.0f} s", f"{products:.0f} s"]
    cells += [f"{memory.peak / 2**30:.2f} GiB"]
    cells += [f"{scores[name]:.4f}" for name in ("recall@1", "map@100")]
    print("\n".join(table_lines(header, [cells])))
    return memory.peak < 2 << 30


class _OwnMemory:
    """The most memory of this process while it runs, without pages of files (Linux)."""

    def __enter__(self) -> "_OwnMemory":
        self.peak, self._over = _anonymous(), threading.Event()
        self._watch = threading.Thread(target=self._look)
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._watch.join()

    def _look(self) -> None:
        while not self._over.wait(0.02):
            self.peak = max(self.peak, _anonymous())


def _anonymous() -> int:
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("RssAnon")) << 10


def _data(file: Path, rows: int) -> tuple[Embedded, Embedded]:
    """Unit vectors about the centers of classes of 20; the gallery is a file."""
    draw = torch.Generator().manual_seed(0)
    centers = torch.randn(rows // _PER_CLASS, _DIM, generator=draw)
    written = np.lib.format.open_memmap(file, "w+", np.float32, (rows, _DIM))
    for start in range(0, rows, _WRITTEN):
        label = torch.arange(start, min(start + _WRITTEN, rows)) % len(centers)
        written[start : start + len(label)] = _around(centers[label], draw).numpy()
    written.flush()
    asked = torch.arange(_QUERIES) * 7 % len(centers)
    camera = torch.randint(_CAMERAS, (rows + _QUERIES,), generator=draw)
    queries = Embedded(_around(centers[asked], draw), asked, groups=camera[rows:])
    on_disk = torch.from_numpy(np.load(file, mmap_mode="r+"))
    label = torch.arange(rows) % len(centers)
    return queries, Embedded(on_disk, label, groups=camera[:rows])


def _around(centers: torch.Tensor, draw: torch.Generator) -> torch.Tensor:
    noise = torch.randn(centers.shape, generator=draw)
    return torch.nn.functional.normalize(centers + 1.5 * noise)


def _products(queries: Embedded, gallery: Embedded) -> float:
    """Seconds of the products alone, a tile at a time."""
    start = time.perf_counter()
    tile = torch.empty(_QUERIES, 1024)
    for rows in gallery.embeddings.split(1024):
        torch.mm(queries.embeddings, rows.T, out=tile[:, : len(rows)])
    return time.perf_counter() - start


if __name__ == "__main__":
    import sys

    main(*map(int, sys.argv[1:]))
