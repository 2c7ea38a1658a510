"""Loaders: of training, which resumes exactly, and of evaluation, which sees each image once.

A data set is a torch `Dataset` of one split with `labels` and `indices` (which images of the whole
data set these are), one entry an image, and `__getitems__`, which turns a list of keys into a
`Batch`. Its data module draws batches with a sampler of `datamodules.samplers` and hands both to
`TrainLoader`; validation and test go through `evaluation_loader`.
"""

import atexit
import os
import re
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn
from weakref import WeakSet

import torch
from torch.utils.data import DataLoader, Dataset
from torch.utils.data._utils.signal_handling import _error_if_any_worker_fails  # type: ignore[attr-defined]

from ranklight.datamodules.batch import Batch
from ranklight.datamodules.samplers import BatchSampler, Sharded
from ranklight.kernels.distributed import rank_and_world_size

Key = int | tuple[int, int]
"""An image's position in its split; in training (epoch, position), which its randomness follows."""


class TrainLoader(DataLoader[Batch]):
    """A loader whose state is (epoch, batches handed out), exact under Lightning.

    Lightning saves the state of a loader that has one, from rank 0 alone, and restores it on every
    rank. Because batches are a pure function of (seed, epoch, position), two integers are all there
    is to know: nothing of ranks, workers or generators. They count what was handed out, not what
    workers fetched ahead, so a run may go on with any number of workers. A batch counts from the
    moment it is handed out: save between steps, as Lightning's callbacks do.

    A plain DataLoader is enough for that; torchdata's StatefulDataLoader stores the state of each
    worker and refuses another number of them. Two details make it exact. Lightning asks for the
    iterator before it says which epoch it is, so ours asks its sampler at the first batch only. And
    torch's loader draws a seed from the global generator at every epoch, which would shift the
    model's dropout with every resume; ours has its own generator.

    Args:
        dataset: Has `__getitems__`, given a list of (epoch, position in the split).
        sampler: Draws the batches.
        num_workers: Processes that prepare batches; they live as long as the loader.
        pin_memory: Put batches in page-locked memory, for faster copies to a GPU.
    """

    def __init__(
        self,
        dataset: Dataset[Batch],
        sampler: BatchSampler,
        num_workers: int = 0,
        pin_memory: bool = False,
    ) -> None:
        super().__init__(
            dataset,
            batch_sampler=_WithEpochs(sampler),
            num_workers=num_workers,
            pin_memory=pin_memory,
            persistent_workers=num_workers > 0,
            worker_init_fn=_leave_signals_to_the_run,
            collate_fn=_as_it_is,
            generator=torch.Generator(),
        )
        self.progress = sampler.progress

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        self.progress.begin()
        with _torchs_handler_taken_away():
            batches = _ended_in_time(super().__iter__())
        for batch in _told_in_one_sentence(batches, self.num_workers):
            self.progress.position += 1
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """Epoch and position, the same on every rank and for any number of workers."""
        return self.progress.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state; one of another sampler or data set is refused.

        Lightning calls this for a checkpoint from within an epoch; after the end of one, the next
        epoch has no position to restore.
        """
        self.progress.load_state_dict(state)


class EvaluationLoader(DataLoader[Batch]):
    """Torch's loader, whose workers' faults are told in one sentence; see `evaluation_loader`."""

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        with _torchs_handler_taken_away():
            batches = _ended_in_time(super().__iter__())
        return _told_in_one_sentence(batches, self.num_workers)


def evaluation_loader(
    dataset: Dataset[Batch], batch_size: int, num_workers: int = 0, pin_memory: bool = False
) -> EvaluationLoader:
    """This rank's shard of a split, in order, each image on exactly one rank.

    Args:
        dataset: Has `__getitems__`, given a list of positions in the split.
        batch_size: Images in a batch on one rank; no result depends on it.
        num_workers: Processes that prepare batches.
        pin_memory: Put batches in page-locked memory, for faster copies to a GPU.
    """
    return EvaluationLoader(
        dataset,
        batch_size=batch_size,
        sampler=Sharded(len(dataset), *rank_and_world_size()),  # type: ignore[arg-type]
        num_workers=num_workers,
        pin_memory=pin_memory,
        persistent_workers=num_workers > 0,
        worker_init_fn=_leave_signals_to_the_run,
        collate_fn=_as_it_is,
        generator=torch.Generator(),
    )


def epochs_and_positions(keys: Sequence[Key]) -> tuple[list[int | None], list[int]]:
    """The keys of a batch as their epochs (None in evaluation) and positions in the split."""
    pairs = [key if isinstance(key, tuple) else (None, key) for key in keys]
    return [epoch for epoch, _ in pairs], [position for _, position in pairs]


class _WithEpochs:
    """The rest of a sampler's epoch as lists of (epoch, position), without moving it on."""

    def __init__(self, sampler: BatchSampler) -> None:
        self.sampler = sampler

    def __len__(self) -> int:
        return self.sampler.progress.length

    def __iter__(self) -> Iterator[list[Key]]:
        for epoch, share in self.sampler.progress.remaining(self.sampler.batches):
            yield [self.sampler.key(epoch, position) for position in share]


def _as_it_is(batch: Any) -> Any:
    return batch


def _leave_signals_to_the_run(worker: int) -> None:
    """Ctrl-C and SLURM's SIGTERM reach every process, and the run has its step to finish first.

    A worker ends when the loader tells it to, or when its parent is gone.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


_open: WeakSet[Any] = WeakSet()
_workers: WeakSet[Any] = WeakSet()
for _known in (_open, _workers):
    os.register_at_fork(after_in_child=_known.clear)


def _ended_in_time(batches: Any) -> Any:
    _open.add(batches)
    _workers.update(getattr(batches, "_workers", ()))
    return batches


@atexit.register
def _end_workers() -> None:
    """Python ends its children by SIGTERM, which these ignore, and waits for them: tell them first.

    Of a loader that was not read to its end and is still there when the process ends. What it tells
    them goes through a queue that is closed at once, so on a busy machine some never hear it.
    """
    for batches in list(_open):
        if hasattr(batches, "_shutdown_workers"):
            batches._shutdown_workers()
    for worker in list(_workers):
        if worker.is_alive():
            worker.kill()


@contextmanager
def _torchs_handler_taken_away() -> Iterator[None]:
    """Torch's handler of SIGCHLD raises wherever a worker's death finds the run.

    That may be in the middle of a step, or of a checkpoint that is being written.
    """
    handler = signal.getsignal(signal.SIGCHLD)
    yield
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGCHLD, handler or signal.SIG_DFL)


@contextmanager
def _death_of_a_worker_raises() -> Iterator[None]:
    """What torch's handler does, here alone: also to a read that would wait for the dead."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGCHLD, lambda *_: _error_if_any_worker_fails())
    try:
        _error_if_any_worker_fails()
        yield
    finally:
        signal.signal(signal.SIGCHLD, before or signal.SIG_DFL)


def _told_in_one_sentence(batches: Iterator[Batch], num_workers: int) -> Iterator[Batch]:
    """Raise what a worker raised, without the worker's traceback in its message."""
    while True:
        try:
            with _death_of_a_worker_raises():
                batch = next(batches)
        except StopIteration:
            return
        except (ValueError, OSError) as error:
            if num_workers and isinstance(error, ConnectionError):
                _raise_that_a_worker_is_gone(error)
            _raise_as_in_the_worker(error)
        except RuntimeError as error:
            if not re.match(r"DataLoader worker \(pid.*(unexpectedly|killed by)", str(error)):
                raise
            _raise_that_a_worker_is_gone(error)
        yield batch


def _raise_that_a_worker_is_gone(error: Exception) -> NoReturn:
    """Torch names its process, but for one that dies while it hands over a batch."""
    pid = re.search(r"\(pid(?:\(s\))? [\d, ]+\)", str(error))
    raise ChildProcessError(
        f"a worker process that prepares batches {pid[0] + ' ' if pid else ''}was killed or "
        "crashed: most often the machine is out of memory or of shared memory (/dev/shm), then "
        "lower num_workers; what was saved is whole"
    ) from error


def _raise_as_in_the_worker(error: ValueError | OSError) -> NoReturn:
    kind = type(error)
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    traceback, _, message = str(error).rpartition(f"\n{module}{kind.__qualname__}: ")
    if not traceback.startswith("Caught "):
        raise error
    raise kind(message.rstrip()) from error
