import pytest

from ranklight.datamodules import read_pairs

SETS = "2\t1\nA_B\t1\t12\nA_B\t1\tC\t2\nC\t3\t4\nC\t3\tD\t1\n"


def test_sets_of_pairs(tmp_path):
    file = tmp_path / "pairs.txt"
    file.write_text(SETS)
    pairs = read_pairs(file)
    assert pairs.first == ["A_B/A_B_0001.jpg"] * 2 + ["C/C_0003.jpg"] * 2
    assert pairs.second == ["A_B/A_B_0012.jpg", "C/C_0002.jpg", "C/C_0004.jpg", "D/D_0001.jpg"]
    assert pairs.same.tolist() == [True, False, True, False]
    file.write_text("\ufeff" + SETS.replace("2\t1", "2", 1))
    assert read_pairs(file).same.sum() == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty: its first line says how many pairs follow"),
        ("A 1 2\n", "line 1: needed the number of pairs of each kind"),
        ("ten\n", "line 1: a number of pairs or sets must be a number from 1 on; got 'ten'"),
        (
            "1\nA 1 2\nA 1\n",
            "line 3: needed a pair of two images as 'name 1 2' or 'name 1 o.*; got 'A 1'",
        ),
        ("1\nA 1 1\nA 1 B 2\n", "line 2: needed a pair of two images .* got 'A 1 1'"),
        ("1\nA 1 2\nA 1 A 2\n", "line 3: needed a pair of two images .* got 'A 1 A 2'"),
        ("2 1\nA 1 2\nA 2 3\nA 1 B 1\nA 1 C 1\n", "set 1 must be 1 pairs of one person and then"),
        ("1\nA 1 x\n", "line 2: the number of an image must be a number from 1 on; got 'x'"),
        ("2\nA 1 2\nA 1 B 2\n", "2 pairs of one person and as many of two; it has 1 and 1"),
    ],
)
def test_lines_that_cannot_be(tmp_path, content, message):
    file = tmp_path / "pairs.txt"
    file.write_text(content)
    with pytest.raises(ValueError, match=message):
        read_pairs(file)
    with pytest.raises(FileNotFoundError, match="there is no annotation file"):
        read_pairs(tmp_path / "none.txt")
