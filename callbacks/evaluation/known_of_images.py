"""Whether the images of a run have the groups and levels that an evaluation asks for."""

from collections.abc import Sequence

from pytorch_lightning import Trainer
from torch import Tensor

from ranklight.datamodules.examination import named_splits
from ranklight.metrics.answers import Apart


def check_known(trainer: Trainer, apart: Apart, levels: Sequence[str] = ()) -> None:
    """Look before anything is embedded; a data module that does not say its splits is not asked.

    Raises:
        ValueError: No image of validation and test has a group, or a level is none of theirs.
    """
    splits = [
        split
        for name, split in named_splits(getattr(trainer, "datamodule", None)).items()
        if not name.startswith("train")
    ]
    if not splits:
        return
    if apart != "image" and not any(_has_groups(split) for split in splits):
        raise ValueError(
            f"apart {apart} needs groups, and no image of validation and test has one: give the "
            "table a column group, or apart image"
        )
    for level in levels:
        there = {name for split in splits for name in getattr(split, "levels", {})}
        if level not in there:
            raise ValueError(
                f"levels names {level!r}, which the images do not have; there are: "
                f"{', '.join(sorted(there)) or 'none'}"
            )


def _has_groups(split: object) -> bool:
    groups: Tensor | None = getattr(split, "groups", None)
    return groups is not None and bool((groups >= 0).any())
