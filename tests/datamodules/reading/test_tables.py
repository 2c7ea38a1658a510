import datetime
import json
import subprocess
import sys

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from ranklight.datamodules.reading.tables import read_table

ROWS = [["a/é.png", "cat|dog", "1.5"], ['b "c".png', "two\nlines", "-2"], ["c,d.png", "", "3e4"]]
NAMES = ["image", "labels", "size"]


def csv_text(separator=",", end="\n"):
    quoted = [[f'"{value.replace(chr(34), chr(34) * 2)}"' for value in row] for row in ROWS]
    return end.join(separator.join(row) for row in [NAMES, *quoted]) + end


def write(folder, content, name="table.csv"):
    file = folder / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_what_a_spreadsheet_writes_is_read(tmp_path, separator, end, encoding):
    table = read_table(write(tmp_path, csv_text(separator, end).encode(encoding)))
    assert table.names == NAMES
    columns = [table.texts(name).to_pylist() for name in NAMES]
    assert [list(row) for row in zip(*columns, strict=True)] == ROWS
    assert table.numbers(["size"]).tolist() == [[1.5], [-2.0], [3e4]]


def test_every_form_holds_the_same(tmp_path):
    columns = dict(zip(NAMES, zip(*ROWS, strict=True), strict=True))
    parquet.write_table(pyarrow.table(columns), tmp_path / "table.parquet")
    lines = [json.dumps(dict(zip(NAMES, row, strict=True))) for row in ROWS]
    write(tmp_path, "\n\n".join(lines), "table.jsonl")
    for file in (write(tmp_path, csv_text()), tmp_path / "table.parquet", tmp_path / "table.jsonl"):
        table = read_table(file)
        assert table.names == NAMES
        assert [table.texts(name).to_pylist() for name in NAMES] == [
            list(column) for column in columns.values()
        ]


def test_numbers_may_have_a_decimal_comma_where_it_separates_nothing(tmp_path):
    table = read_table(write(tmp_path, "image;size\na.png;0,5\nb.png;-1,25\n"))
    assert table.numbers(["size"]).tolist() == [[0.5], [-1.25]]


def test_blanks_around_values_are_left_out(tmp_path):
    table = read_table(write(tmp_path, "image, label\na.png, cat \n"))
    assert table.texts("label").to_pylist() == ["cat"]


def test_vectors_are_columns_of_numbers(tmp_path):
    write(tmp_path, '{"f": [1, 2], "g": 3}\n{"f": [4, 5.5], "g": 6}\n', "table.jsonl")
    table = read_table(tmp_path / "table.jsonl")
    assert table.numbers(["f", "g"]).tolist() == [[1, 2, 3], [4, 5.5, 6]]
    write(tmp_path, '{"f": [1, 2]}\n{"f": [4]}\n', "table.jsonl")
    with pytest.raises(ValueError, match=r"row 2: f has 1 numbers, and 2 in row 1"):
        read_table(tmp_path / "table.jsonl").numbers(["f"])


def test_values_keep_their_words_in_json_lines(tmp_path):
    table = read_table(write(tmp_path, '{"label": "2020-01-01"}\n{"other": 1}\n', "t.ndjson"))
    assert table.texts("label").to_pylist() == ["2020-01-01", ""]
    assert table.texts("other").to_pylist() == ["", "1"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("image,café\na,b\n".encode("latin-1"), r"table\.csv, line 1: the byte 0xE9 .*as UTF-8"),
        ("image,b\na,b\na,é\n".encode("cp1252"), r"table\.csv, line 3: the byte 0xE9 .*as UTF-8"),
        ("image,b\na,b\n".encode("utf-16-le"), "UTF-16 without a byte order mark.*as UTF-8"),
        ("image,b\nü,b\n".encode("utf-16")[:-1], "is not UTF-8|truncated"),
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"image,label\n", "has no rows"),
        (b"image,label\na.png,x\nb.png,y,z\n", r"row 2: 3 values, where the heading has 2 columns"),
        (b"image,label\na.png\n", r"row 1: 1 values, where the heading has 2 columns .'a\.png'"),
        (b'image,label\n"a.png,x\nb.png,y\n', "no readable CSV file|1 values"),
    ],
)
def test_files_that_are_no_table_are_refused(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        read_table(write(tmp_path, content))


def test_other_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing does not exist"):
        read_table(tmp_path / "nothing")
    for name in ("table.xlsx", "table.txt"):
        with pytest.raises(ValueError, match=r"must be a \.csv, .*\.parquet.*as CSV"):
            read_table(write(tmp_path, b"PK", name))
    with pytest.raises(ValueError, match=r"table\.parquet is no readable Parquet file"):
        read_table(write(tmp_path, b"PK", "table.parquet"))
    with pytest.raises(ValueError, match=r"line 2: needed one JSON object a line.*column 9"):
        read_table(write(tmp_path, '{"a": 1}\n{"a": 1,}\n', "table.jsonl"))
    with pytest.raises(ValueError, match=r"line 1: needed one JSON object a line; got '\[1\]'"):
        read_table(write(tmp_path, "[1]\n", "table.jsonl"))
    with pytest.raises(ValueError, match="the column a holds values of several kinds"):
        read_table(write(tmp_path, '{"a": 1}\n{"a": "x"}\n', "table.jsonl")).texts("a")


@pytest.mark.parametrize("above", ["sep=;\r\n", "SEP=;\n", ""])
def test_what_excel_writes_above_and_below_a_table_is_no_row(tmp_path, above):
    table = read_table(
        write(tmp_path, f"{above}image;label\r\na.png;x\r\n  \r\nb.png;\r\n;\r\n;\r\n")
    )
    assert table.texts("image").to_pylist() == ["a.png", "b.png"]
    assert table.texts("label").to_pylist() == ["x", ""]


def test_why_rows_do_not_fit_the_heading(tmp_path):
    for rows, why in (
        ("a.png,x,\nb.png,y,\n", "they end with a separator, and so must the heading"),
        ('"a.png,x\nb.png,y\n', "a quote is perhaps not closed"),
        ("a.png,x,y\n", "is written in quotes"),
    ):
        with pytest.raises(ValueError, match=why):
            read_table(write(tmp_path, f"image,label\n{rows}"))


DAY = datetime.datetime(2020, 1, 1)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([["a"], ["b"]], r"the column a holds lists of string, where numbers are needed"),
        ([[[1.0]], [[2.0]]], "holds lists of list"),
        ([[], [1.0]], "row 1: a has 0 numbers, and 0 in row 1"),
        ([[1.0], None], "row 2: a has 0 numbers, and 1 in row 1"),
        ([{"b": 1}, {"b": 2}], "holds struct<b: int64>, where numbers are needed"),
        ([DAY, DAY], "holds timestamp.*, where numbers are needed"),
        ([DAY - DAY, DAY - DAY], "holds duration.*, where numbers are needed"),
        ([True, False], "row 1: a is 'true', which is no number"),
    ],
)
def test_columns_of_a_program_that_hold_no_numbers(tmp_path, values, words):
    parquet.write_table(pyarrow.table({"a": values}), tmp_path / "table.parquet")
    with pytest.raises(ValueError, match=words):
        read_table(tmp_path / "table.parquet").numbers(["a"])


def test_columns_of_a_program_as_texts(tmp_path):
    columns = {
        "missing": [1.0, float("nan")],
        "half": pyarrow.array(np.array([2, np.nan], np.float16)),
        "category": pyarrow.array(["x", None]).dictionary_encode(),
        "bytes": [b"x", b"\xff"],
    }
    parquet.write_table(pyarrow.table(columns), tmp_path / "table.parquet")
    table = read_table(tmp_path / "table.parquet")
    assert [table.texts(name).to_pylist()[1] for name in ("missing", "half", "category")] == [
        ""
    ] * 3
    with pytest.raises(ValueError, match="the column bytes holds binary that is no text in UTF-8"):
        table.texts("bytes")


def test_a_damaged_page_names_its_column(tmp_path):
    file = tmp_path / "table.parquet"
    parquet.write_table(pyarrow.table({"image": ["a"] * 50, "label": ["b"] * 50}), file)
    content = bytearray(file.read_bytes())
    content[4:40] = bytes(36)
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"table\.parquet is damaged in the column image"):
        read_table(file).texts("image")


@pytest.mark.parametrize("value", [str(2**70), '"\\ud800"'])
def test_what_no_column_can_hold(tmp_path, value):
    table = read_table(write(tmp_path, f'{{"a": {value}}}\n', "table.jsonl"))
    with pytest.raises(ValueError, match="the column a holds what no table can"):
        table.texts("a")


def test_a_column_that_is_missing_is_told_with_those_that_are_there(tmp_path):
    table = read_table(write(tmp_path, "picture,label,label,Split\na,b,c,d\n"))
    with pytest.raises(ValueError, match=r"has no column image; it has picture, label, label, Sp"):
        table.check_has("image")
    with pytest.raises(ValueError, match="has more than one column label"):
        table.texts("label")
    assert not table.has("role", "role")
    assert not table.has(None, "role")
    for name, usual in (("part", "split"), ("split", "split")):
        with pytest.raises(ValueError, match=f"has no column {name}"):
            table.has(name, usual)


@pytest.mark.parametrize("written", ["heavy", "", "1.2.3"])
def test_what_is_no_number_is_told_with_its_row(tmp_path, written):
    table = read_table(write(tmp_path, f"a,b\n1,2\n+3,{written}\n"))
    assert table.numbers(["a"]).tolist() == [[1], [3]]
    with pytest.raises(ValueError, match=f"row 2: b is {written!r}, which is no number"):
        table.numbers(["a", "b"])


def test_numbers_that_are_not_finite_are_refused(tmp_path):
    table = read_table(write(tmp_path, "a,b\n1,2\n3,inf\n"))
    with pytest.raises(ValueError, match="row 2: a, b must be finite numbers; got 3, inf"):
        table.numbers(["a", "b"])
    parquet.write_table(pyarrow.table({"a": [1.0, None]}), tmp_path / "table.parquet")
    with pytest.raises(ValueError, match="row 2: a has no value"):
        read_table(tmp_path / "table.parquet").numbers(["a"])


_MILLION = """
import resource, sys, time
from ranklight.datamodules import ImageTable

def most():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20

before = most()
start = time.process_time()
data = ImageTable(sys.argv[1], hold_out="image")
data.setup("test")
assert len(data.train) + len(data.val) + len(data.test) == 10**6
print(time.process_time() - start, most() - before)
"""


def test_a_million_rows_are_read_in_seconds(tmp_path):
    for number in range(100):
        (tmp_path / f"{number}.png").write_bytes(bytes([number + 1]) * (number + 1))
    draw = np.random.default_rng(0).integers(0, 1000, 10**6)
    rows = [f"{row % 100}.png,class {label}" for row, label in enumerate(draw)]
    file = write(tmp_path, "image,label\n" + "\n".join(rows))
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _MILLION, str(file)],
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    seconds, gib = map(float, ended.stdout.split()[-2:])
    assert seconds < 20
    assert gib < 1
