"""Checkpoints that are whole, or not there."""

import os
import zipfile
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins import TorchCheckpointIO
from pytorch_lightning.utilities import rank_zero_warn


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the file and renames when all is on disk; keeps the file that was there.

    A process that is killed, or a disk that is full, leaves `last.ckpt` as it was. The one before
    stays as `last.before.ckpt`, for a file that was damaged later. Lightning's own `_atomic_save`
    neither waits for the disk nor keeps that one, and holds the whole file in memory first.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write a checkpoint, all or nothing.

        Raises:
            OSError: It could not be written; names the file, and that the old one is still there.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        try:
            with part.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
        except (OSError, RuntimeError) as error:
            part.unlink(missing_ok=True)
            raise OSError(
                f"the checkpoint {path} could not be written ({error}); what was there before is "
                "untouched. Is the disk full?"
            ) from error
        if path.exists():
            before = before_of(path)
            before.unlink(missing_ok=True)
            os.link(path, before)
        part.replace(path)

    def remove_checkpoint(self, path: str | Path) -> None:
        """Remove a checkpoint and the one before it."""
        super().remove_checkpoint(path)
        before_of(Path(path)).unlink(missing_ok=True)


def before_of(path: Path) -> Path:
    """Where the checkpoint that this one replaced is."""
    return path.with_suffix(".before.ckpt")


def is_whole(path: Path) -> bool:
    """Whether a checkpoint can be read to its end, every byte as it was written."""
    if not zipfile.is_zipfile(path):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, OSError, EOFError):
        return False


def newest_whole(path: Path) -> Path:
    """This checkpoint if it is whole, else the one before it.

    Raises:
        OSError: Neither can be read.
    """
    for candidate in (path, before_of(path)):
        if candidate.is_file() and is_whole(candidate):
            if candidate != path:
                rank_zero_warn(f"the checkpoint {path} is damaged; going on from {candidate}")
            return candidate
    raise OSError(f"the checkpoint {path} is damaged, and there is no whole one before it")
