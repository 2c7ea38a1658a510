import numpy as np
import pytest
import torch

from ranklight.datamodules import GradedRelevance, LabelSet, Numbers, OneClass, PairRelevance
from ranklight.datamodules.labels.class_names import warn_of_names
from ranklight.datamodules.labels.kind import Rows
from ranklight.datamodules.reading.tables import read_table
from ranklight.pairs import ByFeatures, GradedByAttributes


@pytest.fixture
def rows(tmp_path):
    """`rows(lines, distractors, junk, name)`: a table of these lines, the heading first."""

    def written(*lines, distractors=(), junk=(), name="table.csv"):
        (tmp_path / name).write_text("\n".join(lines) + "\n")
        table = read_table(tmp_path / name)
        row = np.arange(len(table))
        return Rows(table, "image", np.isin(row, distractors), np.isin(row, junk))

    return written


def test_classes_are_the_ranks_of_their_names(rows):
    read = OneClass("kind").read(rows("image,kind", "a,dog", "b,10", "c,cat", "d,9", "e,dog"))
    assert read.class_names == ("10", "9", "cat", "dog")
    assert read.values.tolist() == read.classes.tolist() == [3, 0, 2, 1, 3]


def test_a_row_without_a_class_is_named(rows):
    with pytest.raises(ValueError, match=r"row 2: label is empty \(2 of 3 rows have no label"):
        OneClass().read(rows("image,label", "a,x", "b,", "c, "))


def test_distractors_need_no_class_and_may_have_none_of_the_others(rows):
    read = OneClass().read(rows("image,label", "a,x", "b,", "c,z", distractors=(1, 2)))
    assert read.class_names == ("distractor", "x", "z")
    assert read.values.tolist() == [1, 0, 2]
    with pytest.raises(ValueError, match=r"row 2: a distractor of the class 'x', which other im"):
        OneClass().read(rows("image,label", "a,x", "b,x", distractors=(1,)))


def test_junk_may_be_of_any_class_or_none(rows):
    read = OneClass().read(rows("image,label", "a,x", "b,x", "c,", junk=(1, 2)))
    assert read.class_names == ("distractor", "x")


def test_a_class_that_goes_over_lines_is_warned_of():
    with pytest.warns(UserWarning, match=r"over several lines, which a quote .*'c1\\nb.png,c2'"):
        warn_of_names(["c0", "c1\nb.png,c2"])


def test_sets_are_multi_hot(rows):
    lines = ("image,labels", "a,dog|cat", "b,", "c, cat |cat|", "d,bird")
    read = LabelSet().read(rows(*lines))
    assert read.class_names == ("bird", "cat", "dog")
    assert read.values.dtype == torch.float32
    assert read.values.tolist() == [[0, 1, 1], [0, 0, 0], [0, 1, 0], [1, 0, 0]]
    assert read.classes is None
    named = LabelSet(names=["dog", "fish", "cat", "bird"]).read(rows(*lines))
    assert named.class_names == ("dog", "fish", "cat", "bird")
    assert named.values.tolist() == [[1, 0, 1, 0], [0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    with pytest.raises(ValueError, match=r"row 4: labels has 'bird', which is none of dog, cat$"):
        LabelSet(names=["dog", "cat"]).read(rows(*lines))
    with pytest.raises(ValueError, match="no row has a label in the column labels"):
        LabelSet().read(rows("image,labels", "a,", "b,|"))


def test_sets_may_be_lists(rows):
    lines = ('{"labels": ["dog", "cat"]}', '{"labels": []}', '{"labels": null}', "{}")
    read = LabelSet().read(rows(*lines, name="table.jsonl"))
    assert read.values.tolist() == [[1, 1], [0, 0], [0, 0], [0, 0]]


def test_another_separator(rows):
    read = LabelSet("tags", separator=" ").read(rows("image,tags", "a,x y", "b,y|z"))
    assert read.class_names == ("x", "y", "y|z")


def test_columns_of_yes_no_and_unknown(rows):
    read = LabelSet(columns=["cat", "dog"]).read(
        rows("image,dog,cat", "a,1,0", "b,?,TRUE", "c,-1,false", "d,,1.0", "e,no,yes")
    )
    assert read.class_names == ("cat", "dog")
    assert read.values.tolist() == [[0, 1], [1, -1], [0, -1], [1, -1], [1, 0]]
    with pytest.raises(ValueError, match=r"row 2: dog is 'maybe'; needed 1, 0, or -1"):
        LabelSet(columns=["dog"]).read(rows("image,dog", "a,1", "b,maybe"))
    with pytest.raises(ValueError, match="has no column fish; it has image, dog"):
        LabelSet(columns=["dog", "fish"]).read(rows("image,dog", "a,1"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"names": ["a"], "columns": ["a"]}, "give names .* or columns"),
        ({"names": []}, "must be there, each once"),
        ({"columns": ["a", "a"]}, "must be there, each once"),
        ({"separator": ""}, "must not be empty"),
        ({"names": ["a", " "]}, "must be there, each once"),
        ({"names": ["a", 3]}, "must be there, each once"),
    ],
)
def test_sets_that_cannot_be_are_refused(arguments, message, unchecked):
    with pytest.raises(ValueError, match=message):
        LabelSet(**arguments)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (('{"labels": [["a"]]}',), r"holds list<.*list<.*, where a text or a list of texts a row"),
        (('{"labels": {"a": 1}}',), "holds struct<a: int64>, where a text or a list of texts"),
        (
            ('{"labels": "a"}', "{\"labels\": \"['a', 'b']\"}"),
            r"row 2: .* a printed list: write cat",
        ),
    ],
)
def test_columns_that_hold_no_sets(rows, lines, words):
    with pytest.raises(ValueError, match=words):
        LabelSet().read(rows(*lines, name="table.jsonl"))


def test_another_separator_than_is_written_is_warned_of(rows):
    with pytest.warns(UserWarning, match=r"1 of 2 names .* hold ';', and '\|' separates .*'a;b'"):
        LabelSet().read(rows("image,labels", "x,a;b", "y,c"))


def test_columns_without_a_single_label_are_refused(rows):
    with pytest.raises(ValueError, match="no row has a label in the columns cat, dog"):
        LabelSet(columns=["cat", "dog"]).read(rows("image,cat,dog", "a,?,0", "b,,0"))


def test_numbers_are_weighted(rows):
    read = Numbers(["x", "y"], [1.0, 10.0]).read(rows("image,y,x", "a,1,2", "b,0.5,-3"))
    assert read.values.tolist() == [[2, 10], [-3, 5]]
    assert read.values.dtype == torch.float32
    assert read.class_names == ()
    with pytest.raises(ValueError, match="2 label columns need as many weights"):
        Numbers(["x", "y"], [1.0])
    with pytest.raises(ValueError, match="each once"):
        Numbers([])


@pytest.mark.parametrize("values", [("16777217", "3"), ("1700000000.25", "1700000000.5")])
def test_numbers_that_float32_rounds_are_warned_of(rows, values):
    with pytest.warns(UserWarning, match=r"float32, which rounds the column x \(in row 1 "):
        Numbers(["y", "x"]).read(rows("image,y,x", f"a,1,{values[0]}", f"b,2,{values[1]}"))


def test_numbers_beyond_float32_are_refused(rows):
    with pytest.raises(ValueError, match=r"row 2: x is -?1e\+39, beyond float32"):
        Numbers(["x"]).read(rows("image,x", "a,1", "b,1e39"))


def test_fractions_are_not_warned_of(rows, recwarn):
    Numbers(["x"]).read(rows("image,x", "a,0.1", "b,0.30000000001", "c,0.1", "d,16777216"))
    assert not recwarn


@pytest.mark.parametrize(
    "kind", [Numbers, lambda *given: GradedRelevance(given[0], ByFeatures(), None, *given[1:])]
)
@pytest.mark.parametrize(
    ("given", "message"),
    [
        (([],), "label columns must be there, each once; got"),
        ((["a", "a"],), "each once"),
        ((["a"], [1.0, 2.0]), "1 label columns need as many weights"),
        ((["a"], [-1.0]), "weights of label columns must be finite, 0 or more"),
        ((["a"], [float("nan")]), "must be finite"),
    ],
)
def test_columns_and_weights_that_no_table_can_have(kind, given, message):
    with pytest.raises(ValueError, match=message):
        kind(*given)


def test_numbers_whose_squares_overflow_are_refused(rows):
    with pytest.raises(
        ValueError, match=r"row 2: a .times its weight. is 1e\+30; label dist.*smaller"
    ):
        Numbers(["a"]).read(rows("image,a", "a,1", "b,1e30"))
    with pytest.raises(ValueError, match=r"row 1: a .times its weight. is 1e\+38"):
        Numbers(["a"], [1e38]).read(rows("image,a", "a,1", "b,2"))


def test_numbers_that_1_minus_their_distance_loses_are_warned_of(rows):
    with pytest.warns(UserWarning, match=r"differ by 5e-06 at most.*weights of about 2e\+05"):
        Numbers(["a"]).read(rows("image,a", "a,1e-6", "b,6e-6"))


def test_attributes_beside_a_class(rows):
    kind = GradedRelevance(["x"], GradedByAttributes(0.25), "label", [2.0])
    read = kind.read(rows("image,label,x", "a,u,1", "b,t,1", "c,u,1", "d,u,99"))
    assert read.values.tolist() == [[1, 2], [0, 2], [1, 2], [1, 198]]
    assert read.class_names == ("t", "u")
    graded = read.of_pairs(np.array([0, 0, 0]), np.array([1, 2, 3]))
    np.testing.assert_allclose(graded, [0, 1, 0.25], atol=1e-9)
    of_some = read.of(np.array([2, 3]))
    assert of_some.values.tolist() == [[1, 2], [1, 198]]
    np.testing.assert_allclose(of_some.of_pairs(np.array([0]), np.array([1])), [0.25])


@pytest.mark.parametrize(
    ("relevance", "class_column", "error", "words"),
    [
        (GradedByAttributes(), None, ValueError, "compares classes .* give class_column"),
        (ByFeatures(), "label", ValueError, "takes every number for a feature"),
        (torch.nn.Linear(1, 1), None, TypeError, "must compare two sets of labels.*got Linear"),
    ],
)
def test_relevances_that_do_not_suit_the_columns(relevance, class_column, error, words):
    with pytest.raises(error, match=words):
        GradedRelevance(["x"], relevance, class_column)


def test_features_without_a_class(rows):
    read = GradedRelevance(["x", "y"], ByFeatures(1.0)).read(rows("image,x,y", "a,0,0", "b,3,4"))
    assert read.classes.tolist() == [0, 0]
    graded = read.of_pairs(np.array([0, 1]), np.array([1, 1]))
    np.testing.assert_allclose(graded, [np.exp(-5), 1], rtol=1e-6)


IMAGES = ("image", "a", "b", "c", "d", "e")


def pairs(rows, *lines):
    rows("image,other,relevance", *lines, name="pairs.csv")
    images = rows(*IMAGES)
    return PairRelevance(str(images.table.file.with_name("pairs.csv"))).read(images)


def test_pairs_count_in_both_directions_and_others_are_0(rows):
    read = pairs(rows, "a,c,0.5", "c,d,1", "a,c,0.5")
    of = {(0, 2): 0.5, (2, 0): 0.5, (2, 3): 1.0, (0, 3): 0.0, (1, 4): 0.0, (4, 4): 0.0}
    i, j = np.array(list(of)).T
    assert read.of_pairs(i, j).tolist() == list(of.values())
    assert read.classes[0] == read.classes[2] == read.classes[3]
    assert len(set(read.classes.tolist())) == 3
    assert read.values.tolist() == read.classes.tolist()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["a,b,1", "a,z,1"], r"row 2: the image 'z' is not in .*table\.csv \(1 of 2 rows"),
        (["a,b,1", "a,b,0.5"], r"row 2: relevance 0\.5, but 1 of the same pair in row 1"),
        (["a,b,1", "b,a,0.5"], r"row 2: relevance 0\.5, but 1 of the same pair in row 1"),
        (["a,b,5"], r"row 1: relevance is 5, and must be 0\.\.1: divide"),
        (["a,b,-1"], r"row 1: relevance is -1"),
        (["a,a,1"], "row 1: an image is paired with itself"),
        (["a,b,"], "row 1: relevance is '', which is no number"),
        ([], "has no rows"),
    ],
)
def test_pairs_that_cannot_be_are_refused(rows, lines, message):
    with pytest.raises(ValueError, match=message):
        pairs(rows, *lines)


def test_pairs_need_to_know_which_row_is_meant(rows):
    rows("image,other,relevance", "a,b,1", name="pairs.csv")
    images = rows("image", "a", "b", "a")
    with pytest.raises(ValueError, match="row 3: the image 'a' for the second time"):
        PairRelevance(str(images.table.file.with_name("pairs.csv"))).read(images)


def test_one_class_below_another(rows):
    read = OneClass("kind", "above").read(
        rows("image,kind,above", "a,dog,mammal", "b,gull,bird", "c,cat,mammal")
    )
    assert read.levels["super_class"].tolist() == [1, 0, 1]
    with pytest.raises(ValueError, match=r"row 2.*: above is empty"):
        OneClass("kind", "above").read(rows("image,kind,above", "a,dog,mammal", "b,gull,"))
