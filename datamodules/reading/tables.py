"""Tables as spreadsheets and programs write them: CSV, Parquet and JSON lines."""

import codecs
import csv
import io
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex, overload

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from ranklight.datamodules.reading.annotations import Location

if TYPE_CHECKING:
    import pyarrow

YES, NO = ("1", "1.0", "true", "yes"), ("0", "0.0", "false", "no")
"""How a row says, in small letters, that something applies, and that it does not."""
_KINDS = ".csv, .tsv, .parquet, .jsonl or .ndjson"
_SEPARATORS = ",;\t"


class Table(Sequence[Location]):
    """The columns of a table, read when they are asked for; as a sequence, where its rows stand.

    Rows are counted from 1, the first under the heading.

    Args:
        file: Where it was read, for messages.
        names: Of its columns.
        rows: How many.
        read: From a column's name to its values.
        decimal_comma: Whether numbers may have a comma for the point.

    Raises:
        ValueError: There are no rows.
    """

    def __init__(
        self,
        file: Path,
        names: Sequence[str],
        rows: int,
        read: Callable[[str], "pyarrow.ChunkedArray"],
        decimal_comma: bool = False,
    ) -> None:
        if not rows:
            raise ValueError(f"{file} has no rows")
        self.file = file
        self.names = list(names)
        self._rows = rows
        self._read = read
        self._decimal_comma = decimal_comma

    def __len__(self) -> int:
        return self._rows

    @overload
    def __getitem__(self, row: SupportsIndex) -> Location: ...
    @overload
    def __getitem__(self, row: slice) -> list[Location]: ...
    def __getitem__(self, row: SupportsIndex | slice) -> Location | list[Location]:
        if isinstance(row, slice):
            return [self[each] for each in range(len(self))[row]]
        return Location(self.file, range(len(self))[row] + 1, "row")

    def check_has(self, *names: str) -> None:
        """Look for columns.

        Raises:
            ValueError: One is missing, or there are two of that name.
        """
        if missing := [name for name in names if name not in self.names]:
            raise ValueError(
                f"{self.file} has no column {', '.join(missing)}; it has {', '.join(self.names)}"
            )
        if twice := [name for name in names if self.names.count(name) > 1]:
            raise ValueError(f"{self.file} has more than one column {twice[0]}")

    def has(self, name: str | None, usual: str) -> bool:
        """Whether a column is there that may be missing while it has its usual name.

        Raises:
            ValueError: It has another name, or is written in another case, and is not there.
        """
        if name is None:
            return False
        alike = [each for each in self.names if each.lower() == name.lower()]
        if alike or name != usual:
            self.check_has(name)
        return bool(alike)

    def column(self, name: str) -> "pyarrow.ChunkedArray":
        """The values of a column in the type that they have in the file; text in a CSV file.

        Raises:
            ValueError: There is no such column.
        """
        self.check_has(name)
        return self._read(name)

    def texts(self, name: str) -> "pyarrow.StringArray":
        """A column as text without blanks around it; empty where there is no value.

        Raises:
            ValueError: There is no such column, or it holds lists, or bytes that are no text.
        """
        import pyarrow
        from pyarrow import compute

        column = self.column(name)
        if pyarrow.types.is_nested(column.type):
            raise ValueError(
                f"{self.file}: the column {name} holds {column.type}, where one text a row is "
                "needed"
            )
        if pyarrow.types.is_floating(column.type):
            # pandas writes no value of a column of numbers as NaN.
            column = compute.if_else(compute.is_nan(column), None, column)
        try:
            text = column.cast(pyarrow.string()).fill_null("").combine_chunks()
        except (pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError) as error:
            raise ValueError(
                f"{self.file}: the column {name} holds {column.type} that is no text in UTF-8, "
                "where one text a row is needed"
            ) from error
        return compute.utf8_trim_whitespace(text)

    def numbers(self, names: Sequence[str]) -> Float[np.ndarray, "rows k"]:
        """Columns of numbers side by side; one of lists of equal length gives several.

        Raises:
            ValueError: A value that is no number, or not finite; names its row.
        """
        numbers = np.column_stack([self._numbers(name) for name in names])
        broken = ~np.isfinite(numbers).all(1)
        if broken.any():
            row = int(broken.argmax())
            values = ", ".join(f"{number:g}" for number in numbers[row])
            raise ValueError(
                f"{self[row]}: {', '.join(names)} must be finite numbers; got {values}"
            )
        return numbers

    def _numbers(self, name: str) -> NDArray[np.float64]:
        import pyarrow

        column = self.column(name)
        kinds = pyarrow.types
        if (
            kinds.is_list(column.type)
            or kinds.is_large_list(column.type)
            or (kinds.is_fixed_size_list(column.type))
        ):
            return self._vectors(name, column)
        if kinds.is_nested(column.type) or kinds.is_temporal(column.type):
            raise ValueError(
                f"{self.file}: the column {name} holds {column.type}, where numbers are needed"
            )
        if not (kinds.is_integer(column.type) or kinds.is_floating(column.type)):
            return self._written_numbers(name)
        if column.null_count:
            row = int(column.is_null().to_numpy().argmax())
            raise ValueError(f"{self[row]}: {name} has no value, where a number is needed")
        return np.asarray(column.to_numpy(), np.float64)

    def _vectors(self, name: str, column: "pyarrow.ChunkedArray") -> NDArray[np.float64]:
        from pyarrow import compute, types

        of = column.type.value_type
        if not (types.is_integer(of) or types.is_floating(of)):
            raise ValueError(
                f"{self.file}: the column {name} holds lists of {of}, where numbers are needed"
            )
        lengths = compute.list_value_length(column).fill_null(0).to_numpy()
        if (other := lengths != lengths[0]).any() or not lengths[0]:
            row = int(other.argmax()) if lengths[0] else 0
            raise ValueError(
                f"{self[row]}: {name} has {lengths[row]} numbers, and {lengths[0]} in row 1; each "
                "row needs as many, and at least one"
            )
        values = compute.list_flatten(column).to_numpy(zero_copy_only=False)
        return np.asarray(values, np.float64).reshape(len(column), -1)

    def _written_numbers(self, name: str) -> NDArray[np.float64]:
        import pyarrow
        from pyarrow import compute

        text = self.texts(name)
        if self._decimal_comma:
            text = compute.replace_substring(text, ",", ".")
        try:
            return np.asarray(text.cast(pyarrow.float64()).to_numpy(), np.float64)
        except pyarrow.ArrowInvalid:
            return np.array([self._number(name, *each) for each in enumerate(text.to_pylist())])

    def _number(self, name: str, row: int, written: str) -> float:
        try:
            return float(written)
        except ValueError as error:
            raise ValueError(f"{self[row]}: {name} is {written!r}, which is no number") from error


def read_table(file: Path) -> Table:
    """A table, by the ending of its name.

    CSV may be separated by commas, semicolons or tabs, as its heading is; values may be quoted, and
    hold line ends then. Text is UTF-8, with or without a byte order mark, or UTF-16 with one. With
    semicolons or tabs numbers may have a decimal comma. JSON lines hold one object a line; what it
    lacks has no value.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Another kind of file, text in another encoding, rows that do not fit the
            heading, or no rows; names the file and the row.
    """
    if not file.is_file():
        raise FileNotFoundError(f"the table {file} does not exist (from {Path.cwd()})")
    kind = file.suffix.lower()
    if kind == ".parquet":
        return _parquet(file)
    if kind in (".csv", ".tsv"):
        return _csv(file)
    if kind in (".jsonl", ".ndjson"):
        return _json_lines(file)
    raise ValueError(
        f"{file} must be a {_KINDS} file; a spreadsheet saves its sheet as CSV (in UTF-8)"
    )


def _parquet(file: Path) -> Table:
    import pyarrow
    from pyarrow import parquet

    def read(name: str) -> "pyarrow.ChunkedArray":
        try:
            return content.read([name]).column(name)
        except (pyarrow.ArrowException, OSError) as error:
            raise ValueError(
                f"{file} is damaged in the column {name}: write it again ({error})"
            ) from error

    try:
        content = parquet.ParquetFile(file)
    except pyarrow.ArrowInvalid as error:
        raise ValueError(f"{file} is no readable Parquet file: {error}") from error
    return Table(file, content.schema_arrow.names, content.metadata.num_rows, read)


def _csv(file: Path) -> Table:
    import pyarrow
    from pyarrow import csv as arrow_csv

    content, separator = _separated(_utf8(file))
    heading = io.TextIOWrapper(io.BytesIO(content), "utf-8", newline="")
    names = next(csv.reader(heading, delimiter=separator), [])
    ragged: list[Any] = []

    def leave_out(row: Any) -> str:
        ragged.append(row)
        return "skip"

    parsing = arrow_csv.ParseOptions(
        delimiter=separator,
        newlines_in_values=True,
        invalid_row_handler=leave_out,
    )
    as_text = arrow_csv.ConvertOptions(
        column_types=dict.fromkeys(names, pyarrow.string()), strings_can_be_null=False
    )
    try:
        table = arrow_csv.read_csv(
            io.BytesIO(content), arrow_csv.ReadOptions(use_threads=False), parsing, as_text
        )
    except pyarrow.ArrowInvalid as error:
        raise ValueError(
            f"{file} is no readable CSV file, perhaps for a quote that is not closed: {error}"
        ) from error
    ragged = [row for row in ragged if row.text.strip()]
    if ragged:
        _refuse_ragged(file, ragged)
    names = [name.strip() for name in names]
    rows = _without_blank_ends(table)
    return Table(
        file, names, len(rows), lambda name: rows.column(names.index(name)), separator != ","
    )


def _without_blank_ends(table: "pyarrow.Table") -> "pyarrow.Table":
    """Without the rows of separators alone that a spreadsheet leaves at the end."""
    end = len(table)
    while end and not any(column[end - 1].as_py().strip() for column in table.columns):
        end -= 1
    return table.slice(0, end)


def _refuse_ragged(file: Path, rows: Sequence[Any]) -> None:
    first = rows[0]
    hint = "a value that holds the separator is written in quotes"
    if first.text.count('"') % 2 or "\n" in first.text:
        hint = "a quote is perhaps not closed"
    elif all(row.actual_columns == first.expected_columns + 1 for row in rows) and all(
        row.text.rstrip()[-1] in _SEPARATORS for row in rows
    ):
        hint = "they end with a separator, and so must the heading, or neither"
    raise ValueError(
        f"{Location(file, first.number - 1, 'row')}: {first.actual_columns} values, where the "
        f"heading has {first.expected_columns} columns ({first.text[:60]!r}; {len(rows)} such "
        f"rows); {hint}"
    )


def _separated(content: bytes) -> tuple[bytes, str]:
    """A table from its heading on, and what stands most often between the names there.

    Or what Excel's `sep=;` above the heading says.
    """
    if stated := re.match(rb"\"?sep=([,;\t])\"?\r?\n", content, re.IGNORECASE):
        return content[stated.end() :], stated[1].decode()
    line = re.split(rb"[\r\n]", re.sub(rb'"[^"]*"', b"", content[: 1 << 16]), maxsplit=1)[0]
    return content, max(_SEPARATORS, key=lambda separator: line.count(separator.encode()))


def _utf8(file: Path) -> bytes:
    """The text of a file in UTF-8, without a byte order mark."""
    content = file.read_bytes()
    remedy = "save it again as UTF-8 (in Excel: CSV UTF-8)"
    try:
        if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            content = content.decode("utf-16").encode()
        content = content.removeprefix(codecs.BOM_UTF8)
        content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{Location(file, line)}: the byte 0x{content[error.start]:02X} is not UTF-8; the "
            f"table was probably saved as Latin-1 or Windows-1252: {remedy}"
        ) from error
    if b"\0" in content:
        raise ValueError(f"{file} is no text, or UTF-16 without a byte order mark: {remedy}")
    if not content.strip():
        raise ValueError(f"{file} is empty, it has no heading and no rows")
    return content


def _json_lines(file: Path) -> Table:
    # Not by pyarrow, which takes text that looks like a date for one, and tells no row.
    columns: dict[str, list[Any]] = {}
    rows = 0
    for number, line in enumerate(io.BytesIO(_utf8(file)), 1):
        if not line.strip():
            continue
        for name, value in _json_object(Location(file, number), line).items():
            values = columns.setdefault(name, [])
            values += [None] * (rows - len(values))
            values.append(value)
        rows += 1
    for values in columns.values():
        values += [None] * (rows - len(values))
    return Table(file, list(columns), rows, lambda name: _of_one_kind(file, name, columns[name]))


def _json_object(location: Location, line: bytes) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{location}: needed one JSON object a line, such as "
            f'{{"image": "a.png", "label": "cat"}}; column {error.colno}: {error.msg}'
        ) from error
    if not isinstance(row, dict):
        shown = line.strip().decode()[:60]
        raise ValueError(f"{location}: needed one JSON object a line; got {shown!r}")
    return row


def _of_one_kind(file: Path, name: str, values: list[Any]) -> "pyarrow.ChunkedArray":
    import pyarrow

    try:
        return pyarrow.chunked_array([pyarrow.array(values)])
    except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError) as error:
        kinds = {type(value).__name__: row for row, value in enumerate(values, 1)}
        kinds.pop("NoneType", None)
        found = ", ".join(f"{kind} in row {row}" for kind, row in kinds.items())
        raise ValueError(
            f"{file}: the column {name} holds values of several kinds: {found}; write all as one"
        ) from error
    except (OverflowError, UnicodeEncodeError) as error:
        raise ValueError(
            f"{file}: the column {name} holds what no table can, as a whole number above 2^64 or "
            f"half a character: {error}; write it as text"
        ) from error
