"""Which rows of a table are for training, validation and test, and which are queries."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Int
from numpy.typing import NDArray

from ranklight.datamodules.reading.annotations import SPLIT_NAMES, SPLITS
from ranklight.datamodules.reading.tables import Table
from ranklight.datamodules.splits import Fold, check_fold, check_fractions, hold_out
from ranklight.kernels.checks import check_choice

ROLES = ("query", "gallery", "distractor", "junk")
_QUERY, _DISTRACTOR, _JUNK = 0, 2, 3
_NONE = -1
_WRITTEN = {
    **{split: (number, _NONE) for split, number in SPLIT_NAMES.items()},
    **{
        f"{split}_{role}": (number, kind)
        for split, number in SPLIT_NAMES.items()
        for kind, role in enumerate(ROLES[:2])
        if number
    },
}

HeldOutBy = Literal["class", "image", "group"]


@dataclass(frozen=True)
class HoldOut:
    """What is held out where no column says it, or where there is no validation split.

    Args:
        test_by: Whole classes, images, or whole groups, for test.
        validation_by: The same for validation.
        test_fraction: How many of them are for test.
        validation_fraction: How many of those left for training are for validation; or a fold, of
            training and validation together.
        query_fraction: How much of validation and of test is drawn as queries, the rest being the
            gallery, where no role says it; None: everything is compared with everything else.

    Raises:
        TypeError: A fraction is no number.
        ValueError: It is not between 0 and 1, there is no such fold, or no such way to hold out.
    """

    test_by: HeldOutBy
    validation_by: HeldOutBy
    test_fraction: float
    validation_fraction: float | Fold
    query_fraction: float | None = None

    def __post_init__(self) -> None:
        """Look at all, also where columns will say which rows are held out."""
        check_choice(HeldOutBy, hold_out=self.test_by)
        check_choice(HeldOutBy, validation=self.validation_by)
        check_fractions(test_fraction=self.test_fraction)
        if isinstance(self.validation_fraction, tuple):
            check_fold(self.validation_fraction)
        else:
            check_fractions(validation_fraction=self.validation_fraction)
        if self.query_fraction is not None:
            check_fractions(query_fraction=self.query_fraction)


class Places(NamedTuple):
    """Where each row belongs.

    Args:
        split: 0 train, 1 val, 2 test; None where nothing says it.
        role: 0 query, 1 gallery, 2 distractor, 3 junk, −1 none.
        group: A number for each camera, session, ...; −1 none.
        group_names: What these numbers stand for.
    """

    split: Int[np.ndarray, "rows"] | None
    role: Int[np.ndarray, "rows"]
    group: Int[np.ndarray, "rows"]
    group_names: tuple[str, ...] = ()


def read_places(table: Table, split: str | None, role: str | None, group: str | None) -> Places:
    """Splits, roles and groups, from the columns that are not None.

    Raises:
        ValueError: An unknown split or role, or a role of the column that is not that of the split;
            names the row.
    """
    nothing = np.full(len(table), _NONE)
    splits, roles, groups = None, nothing, nothing
    names: tuple[str, ...] = ()
    if split is not None:
        both = _coded(table, split, _WRITTEN, "val_query, val_gallery, test_query, test_gallery")
        splits, roles = both[:, 0], both[:, 1]
    if role is not None:
        known = {"": (_NONE,), **{name: (number,) for number, name in enumerate(ROLES)}}
        written = _coded(table, role, known, "or nothing")[:, 0]
        if (other := (roles != _NONE) & (written != _NONE) & (roles != written)).any():
            row = int(other.argmax())
            raise ValueError(
                f"{table[row]}: {split} says {ROLES[roles[row]]}, and {role} {ROLES[written[row]]}"
            )
        roles = np.where(written == _NONE, roles, written)
    if group is not None:
        encoded = table.texts(group).dictionary_encode()
        names = tuple(encoded.dictionary.to_pylist())
        groups = encoded.indices.to_numpy().astype(np.int64)
        groups[np.isin(groups, [code for code, name in enumerate(names) if not name])] = _NONE
    return Places(splits, roles, groups, names)


def _coded(
    table: Table, name: str, known: Mapping[str, tuple[int, ...]], more: str
) -> Int[np.ndarray, "rows k"]:
    encoded = table.texts(name).dictionary_encode()
    written: list[str] = encoded.dictionary.to_pylist()
    codes = encoded.indices.to_numpy()
    unknown = np.array([value.lower() not in known for value in written])
    if unknown.any():
        row = int(unknown[codes].argmax())
        first = ", ".join(value for value in (*SPLITS, *ROLES) if value in known)
        raise ValueError(
            f"{table[row]}: {name} is {written[codes[row]]!r}, which is none of {first}, {more}"
        )
    coded: NDArray[np.int64] = np.array([known[value.lower()] for value in written], np.int64)[
        codes
    ]
    return coded


def split_rows(
    places: Places,
    classes: Int[np.ndarray, "rows"] | None,
    held_out: HoldOut,
    seed: int,
    source: str,
) -> list[list[NDArray[np.int64]]]:
    """The rows of train, of val and of test; these two as [all] or as [queries, gallery].

    Distractors and junk belong to test where no column says the split. Junk, which is neither right
    nor wrong, is as if it were not there.

    Args:
        places: What columns say.
        classes: The class of each row; None where there are none.
        held_out: What to do where they say nothing.
        seed: Of what is drawn.
        source: The table, or the folder, for messages.

    Raises:
        ValueError: A split without images, queries without a gallery, roles for some of a split's
            images only, or nothing to hold out by.
    """
    split = _stated_or_held_out(places, classes, held_out, seed)
    if isinstance(held_out.validation_fraction, tuple):
        split, places = _validation_in_training(split, places)
    if len(train := np.flatnonzero(split == 0)) and not (split == 1).any():
        by = _held_out_by(held_out.validation_by, places, classes, train, "validation")
        split[train[_drawn(by, held_out.validation_by, held_out.validation_fraction, seed + 1)]] = 1
    for number, name in enumerate(SPLITS):
        if not (split == number).any():
            raise ValueError(
                f"{source} has no image in the split {name}: mark some, or leave the column out to "
                "have val and test held out"
            )
    if (idle := (split == 0) & np.isin(places.role, (_DISTRACTOR, _JUNK))).any():
        raise ValueError(
            f"{source} has {idle.sum()} images in the split train with the role distractor or "
            "junk, which only val and test have: leave them out, or take the role away"
        )
    sides = [
        _sides(
            np.flatnonzero((split == number) & (places.role != _JUNK)),
            places.role,
            held_out,
            seed + 1,
            name,
            source,
        )
        for number, name in enumerate(SPLITS[1:], 1)
    ]
    return [[np.flatnonzero(split == 0)], *sides]


def _stated_or_held_out(
    places: Places, classes: Int[np.ndarray, "rows"] | None, held_out: HoldOut, seed: int
) -> NDArray[np.int64]:
    if places.split is not None:
        return places.split.copy()
    split = np.where(np.isin(places.role, (_DISTRACTOR, _JUNK)), 2, 0)
    rows = np.flatnonzero(split == 0)
    by = _held_out_by(held_out.test_by, places, classes, rows, "test")
    split[rows[_drawn(by, held_out.test_by, held_out.test_fraction, seed)]] = 2
    return split


def _validation_in_training(
    split: NDArray[np.int64], places: Places
) -> tuple[NDArray[np.int64], Places]:
    """Its images are for training, in no role; distractors and junk, of no class, for nothing."""
    outside = np.isin(places.role, (_DISTRACTOR, _JUNK))
    role = np.where((split == 1) & ~outside, _NONE, places.role)
    return np.where(split != 1, split, np.where(outside, _NONE, 0)), places._replace(role=role)


def _held_out_by(
    by: HeldOutBy,
    places: Places,
    classes: Int[np.ndarray, "rows"] | None,
    rows: NDArray[np.int64],
    part: str,
) -> NDArray[np.int64]:
    """What the held-out part is drawn of: classes, groups; of images by class, where there are."""
    if by == "class" and classes is None:
        raise ValueError(
            "hold_out is class, but these labels are not one class an image: hold out by image or "
            "by group"
        )
    if by == "group":
        groups = places.group[rows]
        if (groups < 0).any():
            raise ValueError(
                f"hold_out is group, but {(groups < 0).sum()} of {len(rows)} images have no group"
            )
        of = groups
    else:
        of = np.zeros_like(rows) if classes is None else classes[rows]
    if by != "image" and len(np.unique(of)) < 2:
        raise ValueError(
            f"nothing can be held out by {by} for {part}: the {len(rows)} images that are left for "
            f"it and for training are of one {by}; hold out by image, or say which images are for "
            "what, by a column split or by folders train and test"
        )
    return of


def _drawn(
    of: NDArray[np.int64], by: HeldOutBy, fraction: float | Fold, seed: int
) -> NDArray[np.int64]:
    return hold_out(of, fraction, "image_disjoint" if by == "image" else "class_disjoint", seed)[1]


def _sides(
    rows: NDArray[np.int64],
    role: NDArray[np.int64],
    held_out: HoldOut,
    seed: int,
    name: str,
    source: str,
) -> list[NDArray[np.int64]]:
    """[all] of a split, or [queries, gallery]."""
    roles = role[rows]
    without = roles == _NONE
    if held_out.query_fraction is None and without.all():
        return [rows]
    if held_out.query_fraction is None and without.any():
        raise ValueError(
            f"{without.sum()} of {len(rows)} images of {name} in {source} have no role: give each "
            f"one of {', '.join(ROLES)}, or none"
        )
    is_query = roles == _QUERY
    if without.any():
        assert held_out.query_fraction is not None
        if round(held_out.query_fraction * without.sum()) < 1:
            raise ValueError(
                f"query_fraction {held_out.query_fraction:g} of {without.sum()} images of {name} "
                f"in {source} draws no query: give a larger one, or more images"
            )
        drawn = _drawn(rows[without] * 0, "image", held_out.query_fraction, seed)
        is_query[np.flatnonzero(without)[drawn]] = True
    if is_query.all() or not is_query.any():
        there, lacking = ("queries", "gallery") if is_query.any() else ("gallery", "queries")
        raise ValueError(f"{source} has {there} in the split {name}, and no {lacking}")
    return [rows[is_query], rows[~is_query]]


def shared_rows(
    image: Int[np.ndarray, "rows"], queries: NDArray[np.int64], gallery: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The gallery's rows, but the query's for an image that is both, so that it knows itself.

    Args:
        image: Which image each row shows; rows of one number show the same.
        queries: Rows.
        gallery: Rows.
    """
    shown, first = np.unique(image[queries], return_index=True)
    place = np.minimum(np.searchsorted(shown, image[gallery]), len(shown) - 1)
    same = shown[place] == image[gallery]
    # Of an image that is twice in the gallery, one row alone may have the query's number.
    _, once = np.unique(image[gallery], return_index=True)
    same &= np.isin(np.arange(len(gallery)), once)
    return np.where(same, queries[first[place]], gallery)
