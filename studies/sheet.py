"""A table of text, as Markdown, LaTeX or on the screen."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.table import Column, Table
from rich.text import Text

from ranklight.files.markdown import table_lines

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    # Behind the end of a line these would belong to it.
    "[": "{[}",
    "*": "{*}",
    "±": r"$\pm$",
}


class Sheet(NamedTuple):
    """A table of text; its first column says what a row is about.

    Args:
        title: Above the table; "" for none.
        header: The columns.
        rows: As many cells each.
        bold: Row and column of each cell that is the best of its column.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    bold: frozenset[tuple[int, int]] = frozenset()


def screen_table(sheet: Sheet) -> Table:
    """As Rich prints it."""
    # Of a row of a long name the name is folded first, and the numbers stay whole.
    columns = [Column(name, overflow="fold") for name in sheet.header]
    table = Table(*columns, title=sheet.title or None, title_justify="left")
    for number, row in enumerate(sheet.rows):
        cells = enumerate(row)
        table.add_row(
            *(
                Text(cell, "bold" if (number, column) in sheet.bold else "")
                for column, cell in cells
            )
        )
    return table


def markdown_lines(sheet: Sheet) -> Iterator[str]:
    r"""As Markdown.

    >>> print("\n".join(markdown_lines(Sheet("", ["loss", "map"], [["a", "0.9"]], {(0, 1)}))))
    | loss | map |
    | --- | ---: |
    | a | **0.9** |
    """
    if sheet.title:
        yield from (f"**{sheet.title}**", "")
    yield from table_lines(sheet.header, _marked(sheet, "**{}**"))


def latex_lines(sheet: Sheet) -> Iterator[str]:
    """As LaTeX, which needs the package booktabs."""
    if sheet.title:
        yield f"% {sheet.title}"
    yield rf"\begin{{tabular}}{{l{'r' * (len(sheet.header) - 1)}}}"
    yield r"\toprule"
    yield _latex_row(sheet.header)
    yield r"\midrule"
    escaped = sheet._replace(rows=[[_escaped(cell) for cell in row] for row in sheet.rows])
    for row in _marked(escaped, r"\textbf{{{}}}"):
        yield f"{' & '.join(row)} \\\\"
    yield r"\bottomrule"
    yield r"\end{tabular}"


def _marked(sheet: Sheet, mark: str) -> Iterator[list[str]]:
    for number, row in enumerate(sheet.rows):
        yield [
            mark.format(cell) if (number, column) in sheet.bold else cell
            for column, cell in enumerate(row)
        ]


def _latex_row(cells: Sequence[str]) -> str:
    return f"{' & '.join(map(_escaped, cells))} \\\\"


def _escaped(cell: str) -> str:
    return "".join(_LATEX.get(letter, letter) for letter in cell)
