"""The ways in which labels say how alike images are."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ranklight.pairs import (
    ByFeatures,
    ByTable,
    GradedByAttributes,
    LabelCloseness,
    LabelOverlap,
    LabelWithin,
    SameClass,
    SharesLabel,
)

MULTI_HOT = torch.tensor([[1, 1, 0, 0], [0, 1, 1, 1], [0, 0, 0, 0], [0, 0, 0, 1]])
ALL = [
    SameClass(),
    SharesLabel(),
    LabelOverlap(),
    LabelCloseness(),
    LabelWithin(1.0),
    GradedByAttributes(),
    ByFeatures(),
    ByTable(torch.rand(4, 4).fill_diagonal_(1)),
]


def test_same_class():
    relevance = SameClass()(torch.tensor([3, 5]), torch.tensor([5, 3, 4]))
    assert relevance.dtype == torch.float32
    assert relevance.tolist() == [[0, 1, 0], [1, 0, 0]]


def test_classes_above_2_to_the_24_stay_apart():
    labels = torch.tensor([2**24, 2**24 + 1, 2**53, 2**53 + 1])
    assert SameClass()(labels, labels).tolist() == torch.eye(4).tolist()


def test_shares_label_and_no_labels_share_nothing():
    relevance = SharesLabel()(MULTI_HOT, MULTI_HOT)
    assert relevance.tolist() == [[1, 1, 0, 0], [1, 1, 0, 1], [0, 0, 0, 0], [0, 1, 0, 1]]


def test_label_overlap_and_no_labels_equal_no_labels():
    relevance = LabelOverlap()(MULTI_HOT, MULTI_HOT)
    expected = [[1, 1 / 4, 0, 0], [1 / 4, 1, 0, 1 / 3], [0, 0, 1, 0], [0, 1 / 3, 0, 1]]
    torch.testing.assert_close(relevance, torch.tensor(expected))


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.frozensets(st.integers(0, 5)), min_size=1, max_size=5),
    st.lists(st.frozensets(st.integers(0, 5)), min_size=1, max_size=5),
    st.sampled_from([torch.bool, torch.int64, torch.float32]),
)
def test_multi_hot_labels_are_sets(labels, ref_labels, dtype):
    a, b = (
        torch.tensor([[k in one for k in range(6)] for one in many], dtype=dtype)
        for many in (labels, ref_labels)
    )
    shares = [[float(bool(x & y)) for y in ref_labels] for x in labels]
    overlap = [[len(x & y) / len(x | y) if x | y else 1.0 for y in ref_labels] for x in labels]
    assert SharesLabel()(a, b).tolist() == shares
    torch.testing.assert_close(LabelOverlap()(a, b), torch.tensor(overlap))


@pytest.mark.parametrize("p", [1.0, 2.0])
def test_label_closeness_is_1_minus_the_distance(p):
    torch.manual_seed(0)
    labels, ref_labels = torch.randn(4, 3, 2), torch.randn(5, 3, 2)
    differences = (labels.unsqueeze(1) - ref_labels.unsqueeze(0)).flatten(2)
    expected = 1 - differences.abs().pow(p).sum(2) ** (1 / p)
    torch.testing.assert_close(LabelCloseness(p)(labels, ref_labels), expected)


def test_label_closeness_is_euclidean_by_default_and_takes_numbers():
    assert LabelCloseness().p == 2
    relevance = LabelCloseness()(torch.tensor([1.0, 4.0]), torch.tensor([1.0, -1.0]))
    assert relevance.tolist() == [[1, -1], [-2, -4]]


def test_equal_continuous_labels_have_relevance_1_exactly():
    labels = 1e4 + torch.randn(40, 30)
    assert (LabelCloseness()(labels, labels).diagonal() == 1).all()


@pytest.mark.parametrize("relevance", ALL, ids=lambda relevance: type(relevance).__name__)
def test_at_most_1_and_1_is_the_same(relevance):
    labels = {
        "SameClass": torch.tensor([0, 1, 1]),
        "LabelCloseness": torch.randn(5, 2),
        "LabelWithin": torch.randn(5, 2),
        "GradedByAttributes": torch.randn(5, 3).round(),
        "ByFeatures": torch.randn(5, 3),
        "ByTable": torch.tensor([3, 1, 0]),
    }.get(type(relevance).__name__, MULTI_HOT[[0, 1, 3]])
    values = relevance(labels, labels)
    assert values.max() <= 1
    assert (values.diagonal() == 1).all()


@pytest.mark.parametrize(
    ("relevance", "labels", "advice"),
    [
        (SameClass(), MULTI_HOT, "SharesLabel or LabelOverlap"),
        (SameClass(), torch.tensor([0.5, 1.0]), "LabelCloseness"),
        (SharesLabel(), torch.tensor([0, 1]), "multi-hot"),
        (LabelOverlap(), torch.tensor([0, 1]), "multi-hot"),
        (LabelCloseness(), torch.tensor([0, 1]), "SameClass"),
    ],
)
def test_the_wrong_kind_of_labels_is_refused_with_the_right_relevance(relevance, labels, advice):
    with pytest.raises(ValueError, match=advice):
        relevance(labels, labels)


@pytest.mark.parametrize("relevance", [SharesLabel(), LabelOverlap(), LabelCloseness()])
def test_two_sizes_of_label_are_refused(relevance):
    with pytest.raises(ValueError, match=r"multi-hot|one size"):
        relevance(torch.ones(2, 3), torch.ones(2, 4))


def test_labels_within_a_distance_are_one_class():
    labels = torch.tensor([[0.0, 0.0], [0.3, 0.4], [3.0, 0.0]])
    assert LabelWithin(0.5)(labels, labels).tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 1]]
    assert LabelWithin(0.49)(labels, labels).tolist() == torch.eye(3).tolist()


def test_same_class_and_near_above_same_class_above_others():
    labels = torch.tensor([[3.0, 0, 0], [3, 0, 1], [3, 9, 9], [4, 0, 0]])
    row = GradedByAttributes(same_class=0.2, length=0.5)(labels[:1], labels)[0].tolist()
    assert row == pytest.approx([1, 0.2 + 0.8 * math.exp(-2), 0.2, 0], abs=1e-6)


def test_near_features_are_relevant():
    features, others = torch.randn(5, 3), torch.randn(4, 3)
    expected = [
        [math.exp(-math.dist(f, g) / 2) for g in others.tolist()] for f in features.tolist()
    ]
    torch.testing.assert_close(ByFeatures(length=2.0)(features, others), torch.tensor(expected))


def test_a_table_is_looked_up_by_row_and_column():
    table = torch.tensor([[1.0, 0.5, 0.0], [0.25, 1.0, 0.0], [0.0, 0.0, 1.0]])
    relevance = ByTable(table)
    assert relevance(torch.tensor([1, 0]), torch.tensor([0, 1, 1])).tolist() == [
        [0.25, 1, 1],
        [1, 0.5, 0.5],
    ]
    assert not relevance.state_dict()


def test_an_unknown_label_is_in_common_with_nothing():
    labels = torch.tensor([[1, 0, -1], [0, 1, -1], [1, 1, 1], [-1, -1, -1]])
    assert SharesLabel()(labels, labels).tolist() == [
        [1, 0, 1, 0],
        [0, 1, 1, 0],
        [1, 1, 1, 0],
        [0, 0, 0, 0],
    ]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([torch.int8, torch.int64, torch.float32]))
def test_overlap_is_over_what_is_known_of_both(seed, dtype):
    generator = torch.Generator().manual_seed(seed)
    a, b = (torch.randint(-1, 2, (n, 4), generator=generator) for n in (3, 5))
    expected = []
    for x in a.tolist():
        known = [[(p, q) for p, q in zip(x, y, strict=True) if min(p, q) >= 0] for y in b.tolist()]
        both = [sum(p and q for p, q in pairs) for pairs in known]
        either = [sum(p or q for p, q in pairs) for pairs in known]
        row = [s / e if e else float(bool(k)) for s, e, k in zip(both, either, known, strict=True)]
        expected.append(row)
    torch.testing.assert_close(LabelOverlap()(a.to(dtype), b.to(dtype)), torch.tensor(expected))


REAL = [LabelCloseness(), LabelWithin(1.0), GradedByAttributes(), ByFeatures()]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("relevance", REAL)
def test_real_labels_that_were_rounded_or_are_no_numbers_are_refused(relevance):
    labels = torch.rand(3, 2)
    for half in (labels.bfloat16(), labels.half()):
        with pytest.raises(TypeError, match=r"float32 or wider.*bf16-true"):
            relevance(half, half)
    for value in (math.nan, math.inf):
        broken = labels.clone()
        broken[1, 1] = value
        with pytest.raises(ValueError, match="finite numbers"):
            relevance(labels, broken)
    torch.testing.assert_close(
        relevance(labels, labels.double()), relevance(labels.double(), labels.double())
    )


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("relevance", [SharesLabel(), LabelOverlap()])
def test_a_label_that_is_no_number_is_refused(relevance):
    labels = torch.tensor([[1.0, math.nan]])
    with pytest.raises(ValueError, match="got NaN"):
        relevance(labels, labels)


def test_a_class_that_floats_do_not_tell_apart_is_refused():
    labels = torch.tensor([[2.0**24, 0.5], [2.0**24 + 2, 0.5]])
    with pytest.raises(ValueError, match=r"below 16777216"):
        GradedByAttributes()(labels, labels)
    assert GradedByAttributes()(labels.double(), labels.double()).tolist() == [[1, 0], [0, 1]]


@pytest.mark.usefixtures("unchecked")
def test_a_table_takes_its_rows_alone():
    table = ByTable(torch.eye(4))
    for dtype in (torch.uint8, torch.int32):
        labels = torch.tensor([3, 0], dtype=dtype)
        assert table(labels, labels).tolist() == [[1, 0], [0, 1]]
    for labels in (torch.tensor([4]), torch.tensor([-1])):
        with pytest.raises(ValueError, match=r"0\.\.3"):
            table(labels, labels)
    with pytest.raises(TypeError, match="integer"):
        table(torch.tensor([True]), torch.tensor([True]))
    with pytest.raises(ValueError, match="square"):
        ByTable(torch.ones(2, 3))
