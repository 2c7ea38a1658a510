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
    with pytest.raises(ValueError, match=r"row 2: f is a list of 1, and of 2 in row 1"):
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
    with pytest.raises(ValueError, match=r"line 1: needed a JSON object; got '\[1\]'"):
        read_table(write(tmp_path, "[1]\n", "table.jsonl"))
    with pytest.raises(ValueError, match="the column a holds values of several kinds"):
        read_table(write(tmp_path, '{"a": 1}\n{"a": "x"}\n', "table.jsonl")).texts("a")


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
from pathlib import Path
from ranklight.datamodules import ImageTable, LabelSet
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.process_time()
data = ImageTable(sys.argv[1], hold_out="image")
data.setup("test")
assert len(data.train) + len(data.val) + len(data.test) == 10**6
print(time.process_time() - start, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) / 2**20)
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
