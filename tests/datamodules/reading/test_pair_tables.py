import pytest

from ranklight.datamodules.reading.pair_tables import read_pair_table

LFW = """2\t1
Ada\t1\t2
Ada\t1\tBob\t3
Bob\t3\t4
Cyd\t1\tAda\t2
"""


def test_a_table_with_folds(tmp_path):
    (tmp_path / "pairs.csv").write_text(
        "same;second;first;fold\nYes;b.png;a.png;x\n0.0;c.png;a.png;y\n0;7;a.png;x\n"
    )
    pairs = read_pair_table(tmp_path / "pairs.csv")
    assert (pairs.first, pairs.second) == (["a.png"] * 3, ["b.png", "c.png", "7"])
    assert pairs.same.tolist() == [True, False, False]
    assert pairs.folds.tolist() == [0, 1, 0]


def test_lfws_sets_are_folds(tmp_path):
    file = tmp_path / "pairs.txt"
    file.write_text(LFW)
    pairs = read_pair_table(file)
    assert pairs.first[0] == "Ada/Ada_0001.jpg"
    assert pairs.same.tolist() == [True, False, True, False]
    assert pairs.folds.tolist() == [0, 0, 1, 1]
    file.write_text(LFW.replace("2\t1\n", "2\n", 1))
    assert read_pair_table(file).folds is None


def test_says_what_is_wrong(tmp_path):
    file = tmp_path / "pairs.csv"
    for text, message in (
        ("first,second\na,b\n", "has no column same"),
        (
            "first,second,same\na,b,1\na,c,maybe\n",
            r"row 2: same is 1 or 0 .yes or no.; got 'maybe'",
        ),
        ("first,second,same\na,b,1\n,c,1\n", "row 2: first is empty"),
        ("first,second,same\na,a,1\n", "row 1: the image 'a' is paired with itself"),
        ("first,second,same,fold\na,b,1,\n", "row 1: fold is empty"),
        (
            "first,second,same,Fold\na,b,1,0\n",
            "has no column fold; it has first, second, same, Fold",
        ),
        ("first,second,same\n", "has no rows"),
    ):
        file.write_text(text)
        with pytest.raises(ValueError, match=message):
            read_pair_table(file)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        read_pair_table(tmp_path / "none.csv")
