"""Size and recall of indices."""

from collections.abc import Sequence
from pathlib import Path

from ranklight.serving.index_directory import read_facts
from ranklight.serving.index_recall import Measured
from ranklight.serving.report.evidence import Evidence
from ranklight.serving.report.markup import Html, joined, missing, table
from ranklight.serving.report.page import Section


def indices(evidence: Evidence, directories: Sequence[Path]) -> Section:
    """What each index takes and finds, as it was measured when it was built."""
    name, title = "indices", "Indices"
    if not directories:
        what = "No index was given; with --index INDEX its size and recall stand here."
        command = f"ranklight index {evidence.run.path} IMAGES --output INDEX"
        return Section(name, title, missing(what, command))
    return Section(name, title, joined(_one(directory) for directory in directories))


def _one(directory: Path) -> Html:
    facts, _ = read_facts(directory)
    told = ", ".join(f"{name} {facts[name]}" for name in ("run", "encoder", "rows", "dimensions"))
    measured = [list(line.values()) for line in facts["measured"]]
    header = [name.replace("_", " ") for name in Measured._fields]
    caption = f"{directory}: {told}; size, recall of k neighbours against exact search, and time"
    return table(caption, header, measured)
