"""Tables in Markdown."""

from collections.abc import Iterable, Iterator, Sequence


def table_lines(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    r"""The lines of a table, each as soon as its row is there; numbers go to the right.

    >>> print("\n".join(table_lines(["name", "score"], [["ours", "0.9"]])))
    | name | score |
    | --- | ---: |
    | ours | 0.9 |

    Args:
        header: The columns; the first names what its row is about.
        rows: As many cells as there are columns.
    """
    yield _line(header)
    yield _line(["---", *["---:"] * (len(header) - 1)])
    yield from map(_line, rows)


def _line(cells: Sequence[str]) -> str:
    # What a user named may hold the mark that ends a cell.
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
