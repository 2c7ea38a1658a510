"""Pieces of an HTML page; whatever is not `Html` already is text, and is escaped."""

from collections.abc import Iterable, Sequence
from html import escape

_EMPTY = {"img", "meta", "br"}


class Html(str):
    """Markup that goes into a page as it is."""

    __slots__ = ()


def html(content: object) -> Html:
    """Content as markup.

    >>> html("a < b"), html(Html("<b>a</b>"))
    ('a &lt; b', '<b>a</b>')
    """
    return content if isinstance(content, Html) else Html(escape(str(content)))


def element(name: str, *content: object, **attributes: object) -> Html:
    """An element; an attribute that is a word of Python is written with an underscore behind it.

    >>> element("p", "a < b", class_="note")
    '<p class="note">a &lt; b</p>'
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
    )
    if name in _EMPTY:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{joined(content)}</{name}>")


def joined(parts: Iterable[object]) -> Html:
    """Parts one after the other."""
    return Html("".join(html(part) for part in parts))


def paragraph(*content: object) -> Html:
    """A paragraph."""
    return element("p", *content)


def code(words: object) -> Html:
    """A command, or the name of a file."""
    return element("code", words)


def missing(what: str, command: str) -> Html:
    """What is not there, and the command that makes it."""
    return element("p", what, " This command makes it: ", code(command), class_="missing")


def table(caption: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Html:
    """A table whose first column names its rows; it scrolls by itself where it is too wide."""
    head = element("tr", *(element("th", name, scope="col") for name in header))
    body = [element("tr", _cell(row[0], "th"), *map(_cell, row[1:])) for row in rows]
    whole = element(
        "table", element("caption", caption), element("thead", head), element("tbody", *body)
    )
    return element("div", whole, class_="wide", role="region", aria_label=caption, tabindex=0)


def number(value: int | float) -> Html:
    """A score or a count, as short as it can be read."""
    whole = isinstance(value, int) or (float(value).is_integer() and abs(value) > 1)
    return Html(f"{value:,.0f}" if whole else f"{value:.4g}")


def _cell(content: object, name: str = "td") -> Html:
    if name == "th":
        return element(name, content, scope="row")
    if isinstance(content, int | float) and not isinstance(content, bool):
        return element(name, number(content), class_="number")
    return element(name, "" if content is None else content)
