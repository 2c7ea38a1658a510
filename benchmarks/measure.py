"""Time and memory of functions that do the same work, and the table they are shown in."""

import ctypes
import gc
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from ranklight.files.markdown import table_lines

Work = Callable[[], object]

_SHORT_TURN = 0.02


@dataclass(frozen=True)
class Comparison:
    """One row: a peer and us doing the same work.

    Args:
        item: What is computed.
        size: On how much.
        peer: The peer's call; None where the peer cannot run at this size.
        ours: Our call.
        limit: The work that nobody can avoid, for example two matrix products.
        at_least: Peer time over our time that we hold ourselves to.
        at_most_limit: Our time over the limit's that we hold ourselves to.
        memory: Extra peak memory in MiB that we hold ourselves to.
        repeats: Interleaved runs whose median counts.
    """

    item: str
    size: str
    peer: Work | None
    ours: Work
    limit: Work | None = None
    at_least: float | None = None
    at_most_limit: float | None = None
    memory: float | None = None
    repeats: int = 5


def medians(works: dict[str, Work], repeats: int) -> dict[str, float]:
    """Median seconds of each, run in turns after one warm-up so that drift hits all alike."""
    for work in works.values():
        work()
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            seconds[name].append(_turn(work))
    return {name: statistics.median(times) for name, times in seconds.items()}


def median_alone(work: Work, repeats: int) -> float:
    """Median seconds of a work of several ranks: each calls it equally often."""
    work()
    return statistics.median(_seconds(work) for _ in range(repeats))


def _turn(work: Work) -> float:
    """Seconds of one call; of a short one the mean of some, after one in the other's cold cache."""
    first = _seconds(work)
    more = int(_SHORT_TURN / first)
    return sum(_seconds(work) for _ in range(more)) / more if more else first


def _seconds(work: Work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def extra_memory(work: Work) -> float:
    """Growth of the resident set's high-water mark during a call, in MiB (Linux; else nan).

    The least of three: what the process takes for itself, once, is not the work's.
    """
    if sys.platform != "linux":
        return float("nan")
    return min(_growth(work) for _ in range(3))


def _growth(work: Work) -> float:
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    with open("/proc/self/clear_refs", "w") as reset:
        reset.write("5")
    before = _status("VmRSS")
    work()
    return (_status("VmHWM") - before) / 1024


def waited_for(work: Work) -> Work:
    """The same work, over when the GPU has done it; what the host takes to launch it counts."""

    def until_done() -> None:
        work()
        torch.cuda.synchronize()

    return until_done


def extra_device_memory(work: Work) -> float:
    """Growth of torch's memory on the GPU at its peak during one call, in MiB."""
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    work()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - before) / 2**20


def compare_on_gpu(title: str, rows: Sequence[Comparison]) -> bool:
    """`compare_with_peer` for works of a GPU, without the bounds, which are those of a CPU."""
    return compare_with_peer(title, [_on_gpu(row) for row in rows], extra_device_memory)


def compare_with_peer(
    title: str, rows: Sequence[Comparison], memory_of: Callable[[Work], float] = extra_memory
) -> bool:
    """Print a markdown table on one thread; True if every row met its targets."""
    torch.set_num_threads(1)
    print(f"\n## {title}\n")
    header = ["item", "size", "peer", "ours", "peer / ours", "ours / limit", "extra memory", "met"]
    met = []

    def cells() -> Iterator[list[str]]:
        for row in rows:
            measured, row_met = _run(row, memory_of)
            met.append(row_met)
            yield [row.item, row.size, *measured, "yes" if row_met else "**no**"]

    for line in table_lines(header, cells()):
        print(line, flush=True)
    return all(met)


def _on_gpu(row: Comparison) -> Comparison:
    return replace(
        row,
        peer=row.peer and waited_for(row.peer),
        ours=waited_for(row.ours),
        limit=row.limit and waited_for(row.limit),
        at_least=None,
        at_most_limit=None,
        memory=None,
    )


def _run(row: Comparison, memory_of: Callable[[Work], float]) -> tuple[list[str], bool]:
    works = {"peer": row.peer, "ours": row.ours, "limit": row.limit}
    seconds = medians({name: work for name, work in works.items() if work}, row.repeats)
    memory = memory_of(row.ours)
    speedup = seconds["peer"] / seconds["ours"] if "peer" in seconds else None
    over_limit = seconds["ours"] / seconds["limit"] if "limit" in seconds else None
    cells = [
        _duration(seconds.get("peer")),
        _duration(seconds["ours"]),
        _with_target(speedup, row.at_least, "≥"),
        _with_target(over_limit, row.at_most_limit, "≤"),
        _with_target(memory, row.memory, "≤", " MiB"),
    ]
    met = (
        (row.at_least is None or (speedup is not None and speedup >= row.at_least))
        and (row.at_most_limit is None or (over_limit or 0) <= row.at_most_limit)
        and (row.memory is None or memory <= row.memory)
    )
    return cells, met


def _with_target(value: float | None, target: float | None, sign: str, unit: str = "") -> str:
    if value is None:
        return "-"
    wanted = "" if target is None else f" ({sign} {target:g}{unit})"
    return f"{value:.3g}{unit}{wanted}"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds * 1e3:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def _status(key: str) -> int:
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(key + ":"))
