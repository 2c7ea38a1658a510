"""How large classes are, how many labels an image has, how far numbers reach."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped

from ranklight.running.diagnosis.diagnosis import Diagnosis, Level

_QUANTILES = {"least": 0.0, "q05": 0.05, "median": 0.5, "q95": 0.95, "most": 1.0}


def diagnose_labels(diagnosis: Diagnosis, data: Any, splits: Mapping[str, Any]) -> None:
    """Describe the labels of every split, and compare training with the others.

    Args:
        diagnosis: Takes what is found.
        data: The data module, for `class_names` and the sizes of its batches.
        splits: By name.
    """
    labels = {name: np.asarray(split.labels) for name, split in splits.items()}
    names = getattr(data, "class_names", None)
    if all(_are_classes(each) for each in labels.values()):
        _diagnose_classes(diagnosis, labels, names)
        _diagnose_batches(diagnosis, data, labels)
    elif all(_are_sets(each) for each in labels.values()):
        _diagnose_sets(diagnosis, labels, names)
    else:
        _diagnose_numbers(diagnosis, labels)


def _are_classes(labels: Shaped[np.ndarray, "n ..."]) -> bool:
    return labels.ndim == 1 and labels.dtype.kind in "iu"


def _are_sets(labels: Shaped[np.ndarray, "n ..."]) -> bool:
    return labels.ndim == 2 and labels.shape[1] > 1 and bool(np.isin(labels, (-1, 0, 1)).all())


def _sizes(labels: Int[np.ndarray, "n"]) -> dict[int, int]:
    classes, counts = np.unique(labels[labels >= 0], return_counts=True)
    return dict(zip(classes.tolist(), counts.tolist(), strict=True))


def _diagnose_classes(
    diagnosis: Diagnosis, labels: Mapping[str, Any], names: Sequence[str] | None
) -> None:
    sizes = {split: _sizes(each) for split, each in labels.items()}
    for split, counts in sizes.items():
        _tell_spread(diagnosis, split, len(labels[split]), list(counts.values()))
    train = sizes.get("train", {}).keys()
    for split, counts in sizes.items():
        if split != "train":
            _compare_classes(diagnosis, split, train, counts.keys(), names)
        if not split.startswith("train"):
            _diagnose_queries(diagnosis, split, sizes)


def _tell_spread(diagnosis: Diagnosis, split: str, images: int, counts: list[int]) -> None:
    counts = counts or [0]
    diagnosis.tell(
        "labels",
        split=split,
        images=images,
        classes=sum(count > 0 for count in counts),
        least=min(counts),
        median=int(np.median(counts)),
        most=max(counts),
        images_a_class=histogram(counts),
    )


def histogram(counts: Sequence[int]) -> list[dict[str, int]]:
    """How many classes have 1, 2..3, 4..7, ... images, from the smallest to the largest."""
    octaves = np.frexp(np.maximum(counts, 1))[1] - 1
    return [
        {"from": 2**octave, "to": 2 ** (octave + 1) - 1, "classes": int((octaves == octave).sum())}
        for octave in range(int(octaves.min()), int(octaves.max()) + 1)
    ]


def _compare_classes(
    diagnosis: Diagnosis, split: str, train: Any, other: Any, names: Sequence[str] | None
) -> None:
    unseen, unused = sorted(other - train), sorted(train - other)
    if not train & other:
        sentence = f"no class of {split} is in train: it is scored on classes never seen"
        diagnosis.add("note", "labels", sentence)
        return
    if unseen:
        sentence = f"{len(unseen):,} classes of {split} are not in train: nothing of them is learnt"
        diagnosis.add("warning", "labels", sentence, _named(unseen, names))
    if unused:
        sentence = f"{len(unused):,} classes are in train and not in {split}"
        diagnosis.add("note", "labels", sentence, _named(unused, names))


def _diagnose_queries(
    diagnosis: Diagnosis, split: str, sizes: Mapping[str, dict[int, int]]
) -> None:
    """Which queries have nothing to find: among the others of their split, or in its gallery."""
    if split.endswith(" gallery"):
        return
    apart = split.endswith(" queries")
    where = sizes.get(split.replace(" queries", " gallery"), {}) if apart else sizes[split]
    alone = sum(
        count for label, count in sizes[split].items() if where.get(label, 0) < (1 if apart else 2)
    )
    total = sum(sizes[split].values())
    if alone:
        level: Level = "error" if alone == total else "note"
        sentence = f"{alone:,} of {total:,} images of {split} have none of their class to find"
        diagnosis.add(level, "labels", f"{sentence}: they are no queries")


def _diagnose_batches(diagnosis: Diagnosis, data: Any, labels: Mapping[str, Any]) -> None:
    """P × K against the classes of training; what cannot be is refused in setup already."""
    needed = getattr(getattr(data, "train_sampler", None), "samples_per_class", None)
    if needed is None or "train" not in labels:
        return
    counts = _sizes(labels["train"])
    short = [label for label, count in counts.items() if count < needed]
    classes = data.train_sampler.classes_per_batch
    sentence = f"batches of {classes} classes with {needed} images each fit {len(counts):,} classes"
    diagnosis.add("note", "labels", sentence)
    if short:
        names = _named(short, getattr(data, "class_names", None))
        handled = getattr(data, "short_classes", "repeat")
        sentence = f"{len(short):,} classes have fewer than {needed} images in train"
        diagnosis.add("warning", "labels", f"{sentence}: batches {handled} them", names)


def _diagnose_sets(
    diagnosis: Diagnosis, labels: Mapping[str, Any], names: Sequence[str] | None
) -> None:
    for split, each in labels.items():
        on_image = (each == 1).sum(1)
        _tell_spread(diagnosis, split, len(each), (each == 1).sum(0).tolist())
        diagnosis.facts["labels"][-1] |= {"labels_an_image": round(float(on_image.mean()), 2)}
        if (on_image == 0).any():
            sentence = f"{(on_image == 0).sum():,} images of {split} have no label"
            diagnosis.add("note", "labels", sentence)
        if (each < 0).any():
            sentence = f"{(each < 0).mean():.1%} of the labels of {split} are unknown"
            diagnosis.add("note", "labels", sentence)
        never = np.flatnonzero((each == 1).sum(0) == 0).tolist()
        if never:
            sentence = f"{len(never):,} labels are on no image of {split}"
            level: Level = "warning" if split == "train" else "note"
            diagnosis.add(level, "labels", sentence, _named(never, names))


def _diagnose_numbers(diagnosis: Diagnosis, labels: Mapping[str, Any]) -> None:
    columns = {split: each.reshape(len(each), -1).astype(float) for split, each in labels.items()}
    for split, each in columns.items():
        for column in range(each.shape[1]):
            spread = np.quantile(each[:, column], list(_QUANTILES.values())).tolist()
            row = dict(zip(_QUANTILES, spread, strict=True))
            diagnosis.tell("labels", split=split, images=len(each), column=column, **row)
        if split != "train" and "train" in columns:
            _compare_ranges(diagnosis, split, columns["train"], each)


def _compare_ranges(
    diagnosis: Diagnosis,
    split: str,
    train: Float[np.ndarray, "n c"],
    other: Float[np.ndarray, "m c"],
) -> None:
    beyond = ((other < train.min(0)) | (other > train.max(0))).any(1).sum()
    if beyond:
        sentence = f"{beyond:,} images of {split} have a number beyond those of train"
        diagnosis.add("note", "labels", sentence)


def _named(classes: Sequence[int], names: Sequence[str] | None) -> list[str]:
    return [str(label) if names is None else str(names[label]) for label in classes]
