"""The findings of a report as a data set that FiftyOne opens; FiftyOne is not needed to write it.

The format is the one that `fiftyone.types.FiftyOneDataset` has read since before version 0.8, which
has no version of its own: `samples.json` and `metadata.json`.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ranklight.datamodules.reading.pictures import Box
from ranklight.files.writing import replacing
from ranklight.serving.boxes import Shown
from ranklight.serving.report.evidence import Evidence
from ranklight.serving.report.near_duplicates import SAME_PICTURE
from ranklight.serving.report.query_scores import QueryScores
from ranklight.serving.report.vectors import Vectors

_SAMPLES, _METADATA, _VECTORS = "samples.json", "metadata.json", "vectors.npy"


def write_fiftyone(evidence: Evidence, folder: Path) -> None:
    """Write a sample an image: its labels, scores and findings; and the vectors as an array.

    Fields: `ground_truth`, `proposed` (what neighbours agree on, with their share as confidence),
    `split`, `file`, `box` where it is a part of the file, and the scores of a query by their names.
    Tags: `worst`, `fixed`, `broken`, `suspected_label`, `near_duplicate`, `same_picture`. Row i of
    `vectors.npy` is sample i.

    Args:
        evidence: Of a run, with its files.
        folder: Where to write.

    Raises:
        ValueError: No image of the run is known by its file.
    """
    samples = _samples(evidence)
    if not samples:
        raise ValueError(
            "--fiftyone needs images with files: give --embeddings, or scores of a run on files"
        )
    info = {"run": evidence.run.name, "stage": evidence.stage}
    with replacing(folder / _METADATA) as fresh:
        fresh.write_text(json.dumps({"media_type": "image", "info": info}, indent=1) + "\n")
    with replacing(folder / _SAMPLES) as fresh:
        fresh.write_text(json.dumps({"samples": samples}, indent=1) + "\n")
    if evidence.vectors is not None:
        with replacing(folder / _VECTORS) as fresh, fresh.open("wb") as opened:
            np.save(opened, evidence.vectors.matrix)


def _samples(evidence: Evidence) -> list[dict[str, Any]]:
    """In the order of the vectors, then queries that have none."""
    found: dict[Shown, dict[str, Any]] = {}
    vectors = evidence.vectors
    for row, image in enumerate(_images(vectors) if vectors else []):
        sample = _empty(evidence, *image)
        found[evidence.image(*image)] = sample
        if vectors is not None and vectors.classes is not None:
            sample["ground_truth"] = _classification(vectors.classes[row])
        if vectors is not None and vectors.labels is not None:
            sample["ground_truth"] = _classifications(vectors.labels[row])
        if vectors is not None and vectors.splits is not None:
            sample["split"] = vectors.splits[row]
    _add_scores(evidence, found)
    _add_findings(evidence, found)
    return list(found.values())


def _images(of: Vectors | QueryScores) -> list[Shown]:
    return list(zip(of.files, of.boxes, strict=True)) if of.files else []


def _add_scores(evidence: Evidence, found: dict[Shown, dict[str, Any]]) -> None:
    scores = evidence.scores
    if scores is None or scores.files is None:
        return
    for row, image in enumerate(_images(scores)):
        sample = found.setdefault(evidence.image(*image), _empty(evidence, *image))
        if scores.classes is not None:
            sample.setdefault("ground_truth", _classification(scores.classes[row]))
        for column, values in scores.columns.items():
            if np.isfinite(values[row]):
                sample[_field(column)] = float(values[row])


def _add_findings(evidence: Evidence, found: dict[Shown, dict[str, Any]]) -> None:
    for image, tag in _tagged(evidence):
        tags = found[evidence.image(*image)]["tags"]
        if tag not in tags:
            tags.append(tag)
    images = _images(evidence.vectors) if evidence.vectors else []
    for suspect in evidence.suspects or []:
        sample = found[evidence.image(*images[suspect.row])]
        sample["proposed"] = _classification(suspect.proposed, suspect.agreement)


def _tagged(evidence: Evidence) -> Iterator[tuple[Shown, str]]:
    scores, vectors, changes = evidence.scores, evidence.vectors, evidence.changes
    if scores is not None and scores.files is not None:
        queries = _images(scores)
        for row in scores.worst_first()[: evidence.limits.shown].tolist():
            yield queries[row], "worst"
        if changes is not None:
            for tag, rows in (("fixed", changes.fixed), ("broken", changes.broken)):
                for row in rows:
                    yield queries[changes.after[row]], tag
    if vectors is None:
        return
    images = _images(vectors)
    for suspect in evidence.suspects or []:
        yield images[suspect.row], "suspected_label"
    for pair in evidence.copies or []:
        same = pair.bits is not None and pair.bits <= SAME_PICTURE
        for row in pair[:2]:
            yield images[row], "same_picture" if same else "near_duplicate"


def _empty(evidence: Evidence, name: str, box: Box | None) -> dict[str, Any]:
    part = {} if box is None else {"box": list(box)}
    return {"filepath": evidence.key(name), "tags": [], "file": name, **part}


def _classification(label: str, confidence: float | None = None) -> dict[str, Any]:
    sure = {} if confidence is None else {"confidence": confidence}
    return {"_cls": "Classification", "label": label, **sure}


def _classifications(labels: set[str]) -> dict[str, Any]:
    return {
        "_cls": "Classifications",
        "classifications": [_classification(label) for label in sorted(labels)],
    }


def _field(column: str) -> str:
    """A field's name has no dots, signs and slashes."""
    return "score_" + "".join(letter if letter.isalnum() else "_" for letter in column)
