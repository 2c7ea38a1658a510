"""`run.json`: which code, data, weights and machine a run's numbers came from."""

import hashlib
import json
import math
import platform
import shlex
import subprocess
import sys
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities.exceptions import SIGTERMException
from torch import nn

from ranklight import __version__
from ranklight.files.run_records import FILE, read_records
from ranklight.files.writing import replacing
from ranklight.running.zero_shot import is_zero_shot

_PACKAGES = {
    "torch": ("torch",),
    "torchvision": ("torchvision",),
    "pytorch-lightning": ("pytorch-lightning",),
    "faiss": ("faiss-gpu", "faiss-cpu"),
}


class Provenance(Callback):
    """Keeps `run.json` in the run's directory: one record a stage, the newest last.

    A record has the stage (fit, validate, test, predict), the command, the git commit of the folder
    where it was given and whether anything there was not committed, versions, device, number of
    processes, seeds, the data module's `split_hash`, a hash of the weights that the stage began
    with, the checkpoint they came from, whether they are a published network's (`zero_shot`), when
    it started and ended, how: `running` (or killed), `finished`, `stopped by a signal`, or the
    error, and the `scores` that it logged last.
    """

    def __init__(self) -> None:
        self._record: dict[str, Any] | None = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin the record of a fit."""
        self._begin(trainer, pl_module)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin the record of a validation on its own."""
        if trainer.state.fn == "validate":
            self._begin(trainer, pl_module)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin the record of a test."""
        self._begin(trainer, pl_module)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin the record of a prediction."""
        self._begin(trainer, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the scores."""
        self._keep_scores(trainer)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the scores."""
        self._keep_scores(trainer)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Say how it ended."""
        by_signal = isinstance(exception, KeyboardInterrupt | SIGTERMException)
        error = f"{type(exception).__name__}: {exception}"
        self._end(trainer, "stopped by a signal" if by_signal else error)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Say that it ended well."""
        self._end(trainer, "finished")

    def _begin(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero or getattr(trainer, "fast_dev_run", False):
            return
        data: Any = getattr(trainer, "datamodule", None)
        self._record = {
            "stage": trainer.state.fn.value if trainer.state.fn else None,
            "command": shlex.join(["ranklight", *sys.argv[1:]]),
            "started": _now(),
            "ended": None,
            "outcome": "running",
            "git": git_state(Path.cwd()),
            "versions": versions(),
            "device": device_name(trainer.strategy.root_device),
            "world_size": trainer.world_size,
            "seed": torch.initial_seed(),
            "split_seed": getattr(data, "split_seed", None),
            "split_hash": getattr(data, "split_hash", None),
            "weights_hash": weights_hash(pl_module),
            "checkpoint": str(trainer.ckpt_path) if trainer.ckpt_path else None,
            "zero_shot": is_zero_shot(trainer),
            "scores": {},
        }
        self._write(trainer, [*read_records(Path(trainer.default_root_dir)), self._record])

    def _keep_scores(self, trainer: Trainer) -> None:
        if self._record is not None and not trainer.sanity_checking:
            logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
            self._record["scores"] = {
                # JSON has no NaN.
                name: value if math.isfinite(value) else None
                for name, value in logged.items()
                if not name.startswith("train/")
            }

    def _end(self, trainer: Trainer, outcome: str) -> None:
        if self._record is None:
            return
        self._record |= {"ended": _now(), "outcome": outcome}
        *before, _ = read_records(Path(trainer.default_root_dir))
        self._write(trainer, [*before, self._record])
        self._record = None

    def _write(self, trainer: Trainer, records: list[dict[str, Any]]) -> None:
        with replacing(Path(trainer.default_root_dir) / FILE) as fresh:
            fresh.write_text(json.dumps({"stages": records}, indent=1) + "\n")


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit of a folder, and whether something there is not committed; None outside of git."""

    def git(*words: str) -> str:
        command = ["git", "-C", str(folder), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.CalledProcessError):
        return None


def versions() -> dict[str, str | None]:
    """Versions of Python, ranklight and the packages that numbers depend on."""
    found = {"python": platform.python_version(), "ranklight": __version__}
    return found | {name: _installed(*names) for name, names in _PACKAGES.items()}


def weights_hash(module: nn.Module) -> str:
    """16 hexadecimal digits that name the weights and buffers of a module."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        if isinstance(tensor, torch.Tensor):
            digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
            digest.update(
                tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data
            )
    return digest.hexdigest()[:16]


def device_name(device: torch.device) -> str:
    """What a device is: a GPU by its name, a CPU by its architecture."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} ({platform.machine()})"


def _installed(*names: str) -> str | None:
    for name in names:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return None


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")
