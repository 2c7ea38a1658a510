"""What is known of one run, wherever it was read."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple


class RunScores(NamedTuple):
    """The scores of one run, and where they came from.

    Args:
        name: How a sentence names the run: its directory, or file and row.
        experiment: Whose seeds are compared.
        seed: Of its training; None where nothing says.
        scores: By logged name.
        config: What it was configured with, as `config.yaml` has it; {} where that is not known.
        directory: Where the scores of its queries are, None where they are not here.
        commit: Of the code; None where that is not known.
        dirty: Whether something was not committed.
        split_hash: Of the images of each split.
        versions: Of the packages that numbers depend on.
    """

    name: str
    experiment: str
    seed: int | None
    scores: Mapping[str, float]
    config: Mapping[str, Any] = {}
    directory: Path | None = None
    commit: str | None = None
    dirty: bool | None = None
    split_hash: str | None = None
    versions: Mapping[str, str] = {}


class LeftOutError(Exception):
    """A run that does not count, and why."""


class Found(NamedTuple):
    """What a source gave.

    Args:
        runs: That count.
        left_out: Those that do not, with the reason.
    """

    runs: list[RunScores]
    left_out: dict[str, str]


def value_of(run: RunScores, key: str) -> Any:
    """What a run's configuration has for a key.

    Raises:
        LeftOutError: It has no such key.
    """
    value: Any = run.config
    try:
        for part in key.split("."):
            value = value[int(part) if isinstance(value, list) else part]
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise LeftOutError(f"its config.yaml has no {key}") from error
    return json.dumps(value) if isinstance(value, dict | list) else value
