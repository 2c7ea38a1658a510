"""What data modules are built from: loaders that resume exactly, and splits that keep apart.

A data set is a torch `Dataset` with `labels` and `members` (which images of all these are), one
entry an image, and `__getitems__`, which turns a list of keys into a `Batch`. Its data module draws
batches with a sampler of `datamodules.samplers` and hands both to `TrainLoader`; validation and
test go through `evaluation_loader`.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from pytorch_lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ranklight.datamodules.batch import Batch
from ranklight.datamodules.randomness import random_bits
from ranklight.datamodules.samplers import Resumable, Sharded
from ranklight.kernels.distributed import rank_and_world_size

Key = int | tuple[int, int]
"""An image's place in its split; in training (epoch, place), which all its randomness follows."""


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
        dataset: Has `__getitems__`, given a list of (epoch, place in the split).
        sampler: Draws the batches.
        num_workers: Processes that prepare batches; they live as long as the loader.
        pin_memory: Put batches in page-locked memory, for faster copies to a GPU.
    """

    def __init__(
        self,
        dataset: Dataset[Batch],
        sampler: Resumable,
        num_workers: int = 0,
        pin_memory: bool = False,
    ) -> None:
        super().__init__(
            dataset,
            batch_sampler=_Keyed(sampler),
            num_workers=num_workers,
            pin_memory=pin_memory,
            persistent_workers=num_workers > 0,
            collate_fn=_as_it_is,
            generator=torch.Generator(),
        )
        self.progress = sampler.progress

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        self.progress.begin()
        for batch in super().__iter__():
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


def evaluation_loader(
    dataset: Dataset[Batch], batch_size: int, num_workers: int = 0, pin_memory: bool = False
) -> DataLoader[Batch]:
    """This rank's shard of a split, in order, each image on exactly one rank.

    Args:
        dataset: Has `__getitems__`, given a list of places in the split.
        batch_size: Images in a batch on one rank; no result depends on it.
        num_workers: Processes that prepare batches.
        pin_memory: Put batches in page-locked memory, for faster copies to a GPU.
    """
    return DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=Sharded(len(dataset), *rank_and_world_size()),  # type: ignore[arg-type]
        num_workers=num_workers,
        pin_memory=pin_memory,
        persistent_workers=num_workers > 0,
        collate_fn=_as_it_is,
        generator=torch.Generator(),
    )


def epochs_and_places(keys: Sequence[Key]) -> tuple[list[int | None], list[int]]:
    """The keys of a batch as their epochs (None in evaluation) and places in the split."""
    pairs = [key if isinstance(key, tuple) else (None, key) for key in keys]
    return [epoch for epoch, _ in pairs], [place for _, place in pairs]


def hold_out(
    labels: Sequence[int] | Int[np.ndarray, "n"] | Int[Tensor, "n"],
    fraction: float,
    validation: Literal["class_disjoint", "image_disjoint"],
    seed: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split images in two, (kept, held out), both as ascending places.

    Args:
        labels: One class index per image.
        fraction: How much is held out, 0 < fraction < 1.
        validation: "class_disjoint": whole classes, at least one and never all, which measures what
            retrieval of unseen classes does. "image_disjoint": of each class that share of its
            images, never all, so a class of one image stays.
        seed: Another seed is another split.

    Raises:
        ValueError: The fraction is not between 0 and 1, or nothing can be held out.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"the fraction to hold out must be between 0 and 1; got {fraction}")
    _, members, counts = np.unique(np.asarray(labels), return_inverse=True, return_counts=True)
    if validation == "class_disjoint":
        order = np.argsort(random_bits(seed, np.arange(len(counts))), kind="stable")
        several = min(max(1, round(fraction * len(counts))), len(counts) - 1)
        held = np.isin(members, order[:several])
    else:
        order = np.lexsort((random_bits(seed, np.arange(len(members))), members))
        place = np.arange(len(members)) - np.repeat(np.cumsum(counts) - counts, counts)
        several = np.minimum(np.rint(fraction * counts), counts - 1)
        held = np.zeros(len(members), dtype=bool)
        held[order] = place < several[members[order]]
    if not held.any():
        raise ValueError(
            f"holding out {fraction:g} of {len(members)} images in {len(counts)} classes, "
            f"{validation}, leaves nothing for evaluation"
        )
    return np.flatnonzero(~held), np.flatnonzero(held)


def split_hash(*splits: Sequence[int] | Int[np.ndarray, "_"]) -> str:
    """A short name of which images are in which split: equal if and only if these are.

    The first 12 digits of the SHA-256 of the sorted indices of each.
    """
    digest = hashlib.sha256()
    for split in splits:
        indices = np.sort(np.asarray(split, dtype="<i8"))
        digest.update(np.int64(len(indices)).tobytes() + indices.tobytes())
    return digest.hexdigest()[:12]


def refuse_other_split(data: LightningDataModule, saved: str, current: str) -> None:
    """Stop a run that would go on training on other images than its checkpoint was trained on.

    Evaluating a checkpoint on other data is nobody's mistake.

    Raises:
        ValueError: Training is about to go on, and the hashes of the splits differ.
    """
    if data.trainer is not None and data.trainer.state.fn == "fit" and saved != current:
        raise ValueError(
            f"the checkpoint was trained on the split {saved}, but this one is {current}: the "
            "files, the seed or the way to split them changed"
        )


class _Keyed:
    """The rest of a sampler's epoch as lists of (epoch, place), without moving the sampler on."""

    def __init__(self, sampler: Resumable) -> None:
        self.sampler = sampler

    def __len__(self) -> int:
        return self.sampler.progress.length

    def __iter__(self) -> Iterator[list[Key]]:
        for epoch, share in self.sampler.progress.ahead(self.sampler.batches):
            yield [(epoch, place) for place in share]


def _as_it_is(batch: Any) -> Any:
    return batch
