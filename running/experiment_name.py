"""What a run is filed under."""

from collections.abc import Sequence
from pathlib import Path


def experiment_name(files: Sequence[Path]) -> str:
    """The last file that says what is trained, not where: its path below `experiments/`.

    `experiments/lsep/digit_scenes.yaml` and then `experiments/lsep/digit_scenes/bce.yaml` are
    `lsep/digit_scenes/bce`. A file under `experiments/trainer/` names nothing; one outside of
    `experiments/` is named by its stem.

    Args:
        files: YAML files in the order in which they are read, of which the later wins.
    """
    names = [_below_experiments(file) for file in files]
    return next((name for name in reversed(names) if not name.startswith("trainer/")), "unnamed")


def _below_experiments(file: Path) -> str:
    *folders, stem = file.with_suffix("").parts
    if "experiments" not in folders:
        return stem
    innermost = folders[::-1].index("experiments")
    return "/".join([*folders[len(folders) - innermost :], stem])
