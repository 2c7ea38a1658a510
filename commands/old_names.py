"""Class paths from before everything was `ranklight`: refused, with the name of today."""

import re
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_OURS = Path(__file__).resolve().parents[1]
_OLD = re.compile(
    r"(?<![\w./-])"
    r"(?:callbacks|datamodules|experiments|lightning_modules|losses|metrics|miners|models|pairs)"
    r"(?:\.\w+)*\.[A-Z]\w*"
)
_RENAMED = {
    "ByFeatures": "pairs.ByFeatures",
    "ByTable": "pairs.ByTable",
    "ClassCentres": "pairs.ClassCenters (with centers_per_class for centres_per_class, and "
    "center_learning_rate for moved_by)",
    "ConfigLedger": "running.SaveConfig",
    "ExactResume": "running.ExactResume",
    "FasterNetwork": "running.CompileNetwork",
    "GradedByAttributes": "pairs.GradedByAttributes",
    "LastCheckpoint": "running.LastCheckpoint",
    "MetricsFile": "running.MetricsFile",
    "SaveOnTermination": "running.SaveOnTermination",
    "SavePredictions": "running.SavePredictions",
    "StepsBar": "running.ProgressBar",
    "StopOnNonFiniteLoss": "running.StopOnNonFiniteLoss",
    "WarnOfLocalBatchNorm": "running.WarnOfLocalBatchNorm",
}


def check_names(configuration: Any, origin: str) -> None:
    """Refuse old class paths, wherever they stand in a configuration.

    Packages of the user's own that are called `losses` or `models` are his.

    Args:
        configuration: What a YAML or a checkpoint holds, or the words of a command.
        origin: What to call it in the sentence.

    Raises:
        ValueError: It names a class as it was called before; says how it is called now.
    """
    found = dict.fromkeys(_OLD.findall(str(configuration)))
    renamed = [f"{old} is {_new_name(old)} now" for old in found if not _is_theirs(old)]
    if renamed:
        raise ValueError(f"{origin} names what is called otherwise: {', '.join(renamed)}")


def _is_theirs(class_path: str) -> bool:
    found = find_spec(class_path.split(".")[0])
    if found is not None and found.origin is None:
        # A folder without __init__.py: of modules, or of anything else.
        with suppress(ModuleNotFoundError):
            found = find_spec(class_path.rpartition(".")[0])
    if found is None or found.origin is None:
        return False
    return not Path(found.origin).resolve().is_relative_to(_OURS)


def _new_name(old: str) -> str:
    room, *_, name = old.split(".")
    return f"ranklight.{_RENAMED.get(name, f'{room}.{name}')}"
