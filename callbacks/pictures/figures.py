"""How figures are made, and where they go."""

from pathlib import Path
from typing import Any

from pytorch_lightning import Trainer
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.utilities import rank_zero_info

from ranklight.running.writing import replacing


def new_figure(width: float, height: float) -> Any:
    """An empty matplotlib Figure of so many inches; matplotlib is imported for the first."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def save(figure: Any, name: str, trainer: Trainer) -> Path:
    """Save a figure as `plots/<name>.png` of the run, and in W&B where that is on."""
    path = Path(trainer.default_root_dir) / "plots" / f"{name}.png"
    with replacing(path) as fresh:
        figure.savefig(
            fresh, format="png", dpi=110, bbox_inches="tight", metadata={"Software": None}
        )
    rank_zero_info(f"picture: {path}")
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            logger.log_image(name, [str(path)])
    return path
