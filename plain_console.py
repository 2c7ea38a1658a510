"""A console for names that users choose."""

from typing import Any

from rich.console import Console


def plain_console(**options: Any) -> Console:
    """A console that shows text as it is: no [brackets] are markup, and no :words: are emoji.

    Args:
        options: Of `rich.console.Console`.
    """
    return Console(markup=False, emoji=False, highlight=False, **options)
