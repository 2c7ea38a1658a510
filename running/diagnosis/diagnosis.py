"""One list of findings, and the facts they were drawn from."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

Level = Literal["error", "warning", "note"]
Section = Literal[
    "found", "pictures", "copies", "labels", "training", "memory", "network", "machine"
]


class Finding(NamedTuple):
    """One sentence about one thing.

    Attributes:
        level: What fit would stop at, or should not be begun with, is an error.
        section: Where on the page it stands.
        sentence: What is so, and what to do.
        names: All that it is about, such as files or classes.
    """

    level: Level
    section: Section
    sentence: str
    names: tuple[str, ...] = ()


class Diagnosis:
    """Findings and facts in the order in which they were made.

    Attributes:
        findings: What makes the page, the JSON and the exit code.
        facts: Rows of numbers, by section.
    """

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.facts: dict[Section, list[dict[str, Any]]] = {}

    def add(self, level: Level, section: Section, sentence: str, names: Sequence[str] = ()) -> None:
        """Add a finding."""
        self.findings.append(Finding(level, section, sentence, tuple(names)))

    def tell(self, section: Section, **row: Any) -> None:
        """Add a row of facts; rows of one section have the same keys."""
        self.facts.setdefault(section, []).append(row)

    def count(self, level: Level) -> int:
        """How many findings of a level there are."""
        return sum(finding.level == level for finding in self.findings)
