"""How figures are made, and where they go."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pytorch_lightning import Trainer
from pytorch_lightning.loggers import Logger, TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_info

from ranklight.files.writing import replacing

RIGHT, WRONG, MISSED, UNKNOWN = "tab:green", "tab:red", "tab:orange", "tab:gray"


def new_figure(width: float, height: float) -> Any:
    """An empty matplotlib Figure of so many inches; matplotlib is imported for the first."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def save(figure: Any, name: str, trainer: Trainer, file: str | None = None) -> Path:
    """Save a figure in the run, and give it to the loggers that take images; on rank 0 alone.

    Args:
        figure: From `new_figure`.
        name: What loggers call it.
        trainer: Whose run and loggers these are.
        file: The file is `plots/<file>.png`; by default it has the name.
    """
    path = Path(trainer.default_root_dir) / "plots" / f"{file or name}.png"
    with replacing(path) as fresh:
        figure.savefig(fresh, format="png", dpi=110, metadata={"Software": None})
    rank_zero_info(f"picture: {path}")
    for logger in trainer.loggers:
        _log(logger, name, path, trainer.global_step)
    return path


def _log(logger: Logger, name: str, path: Path, step: int) -> None:
    if isinstance(logger, TensorBoardLogger):
        with Image.open(path) as picture:
            pixels = np.asarray(picture.convert("RGB"))
        logger.experiment.add_image(name, pixels, step, dataformats="HWC")
    elif hasattr(logger, "log_image"):
        logger.log_image(name, [str(path)])
