"""`ranklight doctor`: what can be known of an experiment before it is run, on one page."""

import json
import sys
from pathlib import Path
from typing import Any

from pytorch_lightning import LightningDataModule, LightningModule, Trainer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ranklight import __version__
from ranklight.callbacks.evaluation.embedding_evaluation import EmbeddingEvaluation
from ranklight.commands.errors import sentence_of
from ranklight.datamodules import ImageFiles
from ranklight.datamodules.examination import named_splits
from ranklight.plain_console import plain_console
from ranklight.running.diagnosis import (
    Diagnosis,
    Finding,
    Rehearsal,
    diagnose_labels,
    diagnose_machine,
    diagnose_memory,
    diagnose_network,
    diagnose_pictures,
    diagnose_training,
    rehearse,
)
from ranklight.running.diagnosis.memory import in_units
from ranklight.running.file_progress import file_progress

_SECTIONS = {
    "found": "Found",
    "pictures": "Pictures",
    "copies": "Copies",
    "labels": "Labels",
    "training": "Training",
    "memory": "Memory",
    "network": "Network",
    "machine": "Machine",
}
_STYLES = {"error": "bold red", "warning": "yellow", "note": "dim"}
_NAMED = 5
_BARS = "▁▂▃▄▅▆▇█"


def examine(
    trainer: Trainer, model: LightningModule, data: LightningDataModule, as_json: bool | str
) -> None:
    """Diagnose, tell, and end with code 1 where there is an error.

    Args:
        trainer: Of `fit`, on one device.
        model: Of `fit`.
        data: Of `fit`.
        as_json: True prints JSON in place of the page; a file's name writes it beside the page.
    """
    diagnosis = diagnose(trainer, model, data)
    if as_json is not True:
        print_page(diagnosis)
    if as_json:
        text = json.dumps(as_tree(diagnosis), indent=1) + "\n"
        if isinstance(as_json, str):
            Path(as_json).write_text(text)
        else:
            sys.stdout.write(text)
    if diagnosis.count("error"):
        sys.exit(1)


def diagnose(trainer: Trainer, model: LightningModule, data: LightningDataModule) -> Diagnosis:
    """Everything that can be found, in about the time that reading all pictures takes."""
    diagnosis = Diagnosis()
    rehearsal = rehearse(trainer, model, data)
    _take_over(diagnosis, rehearsal)
    splits = named_splits(data)
    if not splits:
        diagnosis.add("note", "found", "the data module has no splits with labels to look at")
    else:
        _diagnose_data(diagnosis, data, splits)
    diagnose_training(diagnosis, rehearsal)
    evaluations = [each for each in trainer.callbacks if isinstance(each, EmbeddingEvaluation)]  # type: ignore[attr-defined]
    clusters = any(getattr(each, "clustering", False) for each in evaluations)
    diagnose_memory(diagnosis, model, splits, rehearsal.embedding_dim, clusters)
    if not rehearsal.began:
        model.train()
    diagnose_network(diagnosis, model, rehearsal.groups)
    diagnose_machine(diagnosis)
    return diagnosis


def _take_over(diagnosis: Diagnosis, rehearsal: Rehearsal) -> None:
    """What fit itself says, refuses and warns of."""
    for summary in rehearsal.summaries:
        diagnosis.add("note", "found", summary)
    for error in rehearsal.refusals:
        sentence = sentence_of(error, building=True)
        if sentence is None:
            raise error
        diagnosis.add("error", "training", f"fit stops: {sentence}")
    for warning in rehearsal.warnings:
        diagnosis.add("warning", "training", f"fit warns: {warning}")


def _diagnose_data(diagnosis: Diagnosis, data: Any, splits: dict[str, Any]) -> None:
    for name, split in splits.items():
        diagnosis.tell("found", split=name, images=len(split.labels))
    total = sum(len(split) for split in splits.values() if isinstance(split, ImageFiles))
    with file_progress("pictures", total) as advance:
        diagnose_pictures(diagnosis, splits, advance)
    diagnose_labels(diagnosis, data, splits)


def as_tree(diagnosis: Diagnosis) -> dict[str, Any]:
    """What `--json` holds; keys stay as they are from version to version."""
    return {
        "ranklight": __version__,
        "errors": diagnosis.count("error"),
        "warnings": diagnosis.count("warning"),
        "findings": [finding._asdict() for finding in diagnosis.findings],
        "facts": {section: diagnosis.facts.get(section, []) for section in _SECTIONS},  # type: ignore[call-overload]
    }


def print_page(diagnosis: Diagnosis, console: Console | None = None) -> None:
    """A table of facts and the findings of each section, and how many there are."""
    console = console or plain_console()
    for section, title in _SECTIONS.items():
        rows = diagnosis.facts.get(section, [])  # type: ignore[call-overload]
        findings = [finding for finding in diagnosis.findings if finding.section == section]
        if not rows and not findings:
            continue
        console.print(Text(f"\n{title}", "bold"))
        if section == "machine":
            console.print(", ".join(f"{row['what']} {row['version']}" for row in rows))
        elif rows:
            console.print(_table(rows))
        for finding in findings:
            _print_finding(console, finding)
    errors, warnings = diagnosis.count("error"), diagnosis.count("warning")
    console.print(f"\n{errors} errors, {warnings} warnings")


def _print_finding(console: Console, finding: Finding) -> None:
    level = Text(finding.level, _STYLES[finding.level])
    console.print(Text.assemble(level, f": {finding.sentence}"))
    for name in finding.names[:_NAMED]:
        console.print(f"    {name}", markup=False)
    if more := len(finding.names[_NAMED:]):
        console.print(f"    and {more:,} more, which --json names", markup=False)


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for key in rows[0]:
        numeric = isinstance(rows[0][key], int | float)
        table.add_column(
            key.replace("_", " "), justify="right" if numeric else "left", overflow="fold"
        )
    for row in rows:
        table.add_row(*(_cell(key, row.get(key)) for key in rows[0]))
    return table


def _cell(key: str, value: Any) -> str:
    if value is None:
        return "-"
    if key == "bytes":
        return in_units(value)
    if isinstance(value, list):
        return _sparkline(value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _sparkline(bins: list[dict[str, int]]) -> str:
    most = max(each["classes"] for each in bins)
    heights = [-(-each["classes"] * len(_BARS) // most) for each in bins]
    return "".join(" " if height == 0 else _BARS[height - 1] for height in heights)
