"""Size and recall of indices."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ranklight.serving.report.evidence import Evidence
from ranklight.serving.report.markup import Html, joined, missing, paragraph, table
from ranklight.serving.report.page import Section

FILE = "index.json"


def indices(evidence: Evidence, directories: Sequence[Path]) -> Section:
    """What each index takes and finds, as it was measured when it was built."""
    name, title = "indices", "Indices"
    if not directories:
        what = "No index was given; with --index INDEX its size and recall stand here."
        command = f"ranklight index {evidence.run.path} IMAGES --output INDEX"
        return Section(name, title, missing(what, command))
    return Section(name, title, joined(_one(directory) for directory in directories))


def check_index(directory: Path) -> None:
    """Raise a FileNotFoundError where there is no index."""
    if not (directory / FILE).exists():
        raise FileNotFoundError(
            f"{directory} is no index, it has no {FILE}: ranklight index RUN IMAGES --output "
            f"{directory} makes one"
        )


def _one(directory: Path) -> Html:
    try:
        content: dict[str, Any] = json.loads((directory / FILE).read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{directory / FILE} must be JSON: {error}") from error
    tables = [rows for rows in content.values() if _is_table(rows)]
    plain = {key: value for key, value in content.items() if not isinstance(value, list | dict)}
    told = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in plain.items())
    parts = [paragraph(f"{directory}: {told}.")]
    for measured in tables:
        header = list(measured[0])
        rows = [[row.get(key) for key in header] for row in measured]
        caption = f"{directory}: size and recall against exact search"
        parts.append(table(caption, [key.replace("_", " ") for key in header], rows))
    return joined(parts)


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)
