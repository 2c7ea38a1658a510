"""What names of classes give away."""

import unicodedata
from collections import defaultdict
from collections.abc import Sequence

from pytorch_lightning.utilities import rank_zero_warn

from ranklight.datamodules.reading.found import first_names

_NO_LABEL = frozenset(("nan", "null", "none", "na", "n/a", "<na>", "nat", "-", "?"))


def warn_of_names(names: Sequence[str]) -> None:
    """Warn of classes that may be one, of one that may stand for no label, and of swallowed rows.

    One class are perhaps names that differ in case, blanks, the form of their letters (é as one or
    as two), or in how a number is written (1 and 1.0).

    Args:
        names: Of all classes, each once.
    """
    alike: defaultdict[object, list[str]] = defaultdict(list)
    for name in names:
        alike[_plain(name)].append(name)
    if groups := [" = ".join(map(repr, group)) for group in alike.values() if len(group) > 1]:
        rank_zero_warn(
            f"{len(groups)} groups of classes have nearly equal names and are taken for different "
            f"ones: {first_names(groups)}"
        )
    if broken := [repr(name[:40]) for name in names if "\n" in name or "\r" in name]:
        rank_zero_warn(
            f"names of {len(broken)} classes go over several lines, which a quote that is not "
            f"closed makes of rows: {first_names(broken)}"
        )
    if missing := [name for name in names if name.lower() in _NO_LABEL]:
        rank_zero_warn(
            f"the classes {first_names(list(map(repr, missing)))} may stand for images without a "
            "label: take these rows out if they do"
        )


def _plain(name: str) -> object:
    words = " ".join(unicodedata.normalize("NFKC", name).casefold().split())
    try:
        return float(words) if words.isascii() and words[:1] in "+-.0123456789" else words
    except ValueError:
        return words
