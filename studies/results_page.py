"""Numbers in a Markdown page that come from committed runs."""

import re
import shlex
from collections.abc import Callable, Sequence

_BEGIN = re.compile(r"<!-- (?P<words>[^>]*?) -->")
_END = "<!-- end -->"


def filled(text: str, verbs: dict[str, Callable[[Sequence[str]], str]]) -> str:
    """The page with what stands between each `<!-- verb words -->` and `<!-- end -->` made anew.

    A comment whose first word is no verb stays as it is, what one gives stands on lines of its own
    if it has several.

    >>> filled("<!-- sum 1 2 -->?<!-- end -->!", {"sum": lambda words: str(sum(map(int, words)))})
    '<!-- sum 1 2 -->3<!-- end -->!'

    Args:
        text: Of the page.
        verbs: What to write, by verb, given the words after it.

    Raises:
        ValueError: A comment is not ended, or its verb refuses its words; names it.
    """
    parts, position = [], 0
    while begin := _next(text, position, verbs):
        end = text.find(_END, begin.end())
        following = _next(text, begin.end(), verbs)
        if end < 0 or (following and following.start() < end):
            raise ValueError(f"{begin.group()} needs an {_END} after it")
        try:
            verb, *words = shlex.split(begin["words"])
            made = verbs[verb](words)
        except ValueError as error:
            raise ValueError(f"{begin.group()}: {error}") from error
        made = f"\n{made.strip()}\n" if "\n" in made else made
        parts += [text[position : begin.end()], made, _END]
        position = end + len(_END)
    return "".join([*parts, text[position:]])


def _next(text: str, position: int, verbs: dict[str, Callable[..., str]]) -> re.Match[str] | None:
    found = _BEGIN.finditer(text, position)
    return next((begin for begin in found if begin["words"].split(" ")[0] in verbs), None)
