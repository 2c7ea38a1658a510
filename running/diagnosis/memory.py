"""How much memory what is not the network takes."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import nn

from ranklight.pairs import CrossBatchMemory
from ranklight.running.diagnosis.diagnosis import Diagnosis

_FLOAT32 = 4
_KEPT_OF_A_ROW = 3 * 8
_SEARCHED_BESIDE = 2


def diagnose_memory(
    diagnosis: Diagnosis,
    model: nn.Module,
    splits: Mapping[str, Any],
    embedding_dim: int | None,
    clusters: bool,
) -> None:
    """Bytes of evaluation, of k-means and of memories of embeddings, against what there is.

    Args:
        diagnosis: Takes what is found.
        model: Whose memories are counted.
        splits: By name; all but train are evaluated.
        embedding_dim: d; None where nothing is embedded.
        clusters: Whether evaluation ends in k-means.
    """
    if embedding_dim is None:
        diagnosis.add("note", "memory", "validation gives no embeddings: nothing is kept of it")
        return
    for name, split in splits.items():
        if name != "train":
            _tell_evaluation(diagnosis, name, split, embedding_dim, clusters)
    for memory in model.modules():
        if isinstance(memory, CrossBatchMemory):
            row = embedding_dim * _FLOAT32 + _KEPT_OF_A_ROW
            diagnosis.tell(
                "memory", what="cross-batch memory", rows=memory.size, bytes=memory.size * row
            )
    _compare_with_machine(diagnosis)


def _tell_evaluation(
    diagnosis: Diagnosis, name: str, split: Any, embedding_dim: int, clusters: bool
) -> None:
    rows = len(split.labels)
    embeddings = rows * embedding_dim * _FLOAT32
    searched = rows * (embedding_dim + _SEARCHED_BESIDE) * _FLOAT32
    diagnosis.tell("memory", what=f"embeddings of {name}", rows=rows, bytes=embeddings)
    diagnosis.tell("memory", what=f"search among {name}", rows=rows, bytes=searched)
    if clusters and split.labels.ndim == 1:
        centers = len(np.unique(np.asarray(split.labels))) * embedding_dim * _FLOAT32
        taken = embeddings + centers
        diagnosis.tell("memory", what=f"k-means of {name}", rows=rows, bytes=taken)


def _compare_with_machine(diagnosis: Diagnosis) -> None:
    rows = diagnosis.facts.get("memory", [])
    taken = sum(row["bytes"] for row in rows)
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if taken > there:
        sentence = (
            f"evaluation takes up to {in_units(taken)} and this machine has {in_units(there)}: "
            "lower embedding_dim, or share it among ranks"
        )
        diagnosis.add("warning", "memory", sentence)


def in_units(count: int) -> str:
    """Bytes as people read them."""
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.3g} {unit}"
        size /= 1024
    return f"{size:.3g} TiB"
