"""`run.json`: what each stage of a run recorded."""

import json
from pathlib import Path
from typing import Any

FILE = "run.json"

_OF_EACH = {"stage", "outcome"}


def read_records(run: Path) -> list[dict[str, Any]]:
    """The records of a run, oldest first; none where there is no `run.json`.

    Raises:
        ValueError: The file is not one that `running.Provenance` wrote; names it.
    """
    path = run / FILE
    if not path.exists():
        return []
    try:
        records: list[dict[str, Any]] = json.loads(path.read_text())["stages"]
        if not all(record.keys() >= _OF_EACH for record in records):
            raise KeyError(*_OF_EACH)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} must hold the stages of a run as JSON; got {error!r}") from error
    return records


def last_record(run: Path, stage: str) -> dict[str, Any] | None:
    """The newest record of a stage (fit, test, ...); None where there is none.

    Raises:
        ValueError: The file is not one that `running.Provenance` wrote; names it.
    """
    of_stage = [record for record in read_records(run) if record["stage"] == stage]
    return of_stage[-1] if of_stage else None
