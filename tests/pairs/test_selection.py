"""A selection, divided by the sign of the relevance, and what is refused of the three matrices."""

import math

import pytest
import torch

from ranklight.losses import ContrastiveLoss, TripletLoss
from ranklight.miners import Hardest
from ranklight.pairs.selection import loss_inputs, split


def test_split_divides_the_selection_at_relevance_0():
    relevance = torch.tensor([[1.0, 0.5, 0.0, -3.0, 1.0]])
    selection = torch.tensor([[True, True, True, True, False]])
    positive, negative = split(relevance, selection)
    assert positive.tolist() == [[True, True, False, False, False]]
    assert negative.tolist() == [[False, False, True, True, False]]


def test_a_relevance_that_is_not_a_number_is_no_positive():
    relevance = torch.tensor([[math.nan, 1.0, 0.0, -1.0]])
    positive, negative = split(relevance, torch.ones(1, 4, dtype=torch.bool))
    assert positive.tolist() == [[False, True, False, False]]
    assert negative.tolist() == [[True, False, True, True]]


FLOATS, PAIRS = torch.ones(2, 3), torch.ones(2, 3, dtype=torch.bool)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("similarity", "relevance", "selection", "error", "sentence"),
    [
        (FLOATS.tolist(), FLOATS, PAIRS, TypeError, "similarity must be a torch.Tensor; got list"),
        (FLOATS, FLOATS.numpy(), PAIRS, TypeError, "relevance must be a torch.Tensor; got ndarray"),
        (FLOATS.long(), FLOATS, PAIRS, TypeError, "similarity must be floats; got torch.int64"),
        (FLOATS, FLOATS.bool(), PAIRS, TypeError, "relevance must be floats; got torch.bool"),
        (FLOATS, FLOATS[:, :1], PAIRS, ValueError, r"one shape .*\[2, 3\], \[2, 1\] and \[2, 3\]"),
        (FLOATS, FLOATS, PAIRS[:1], ValueError, r"one shape .*\[2, 3\], \[2, 3\] and \[1, 3\]"),
        (FLOATS[0], FLOATS[0], PAIRS[0], ValueError, r"shape \[n, m\]"),
        (
            FLOATS,
            FLOATS.to("meta"),
            PAIRS,
            ValueError,
            "got similarity on cpu and relevance on meta",
        ),
    ],
)
@pytest.mark.parametrize("user", [ContrastiveLoss(), TripletLoss(), Hardest()])
def test_matrices_that_do_not_fit_are_refused(
    user, similarity, relevance, selection, error, sentence
):
    with pytest.raises(error, match=sentence):
        user(similarity, relevance, selection)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("selection", "error", "sentence"),
    [
        (PAIRS.to(torch.uint8), TypeError, "int64 .*got torch.uint8: make a mask of 0 and 1 Bool"),
        (PAIRS.int(), TypeError, "int64 .*got torch.int32"),
        (torch.tensor([[0, 1, 1], [1, 0, 0]]), ValueError, "every pair has an opponent"),
        (torch.tensor([[3, -1, -1], [-1, -1, -1]]), ValueError, r"0\.\.2, or -1 for none; got 3"),
        (torch.tensor([[-2, -1, 1], [-1, -1, -1]]), ValueError, "or -1 for none; got -2"),
    ],
)
def test_what_cannot_be_opponents_is_refused(selection, error, sentence):
    with pytest.raises(error, match=sentence):
        TripletLoss()(FLOATS, FLOATS, selection)


@pytest.mark.usefixtures("unchecked")
def test_a_loss_of_pairs_refuses_opponents():
    with pytest.raises(TypeError, match="Bool selection from a pair miner"):
        ContrastiveLoss()(FLOATS, FLOATS, torch.full((2, 3), -1))


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0)])
@pytest.mark.parametrize("nothing", [False, -1])
def test_matrices_without_elements_become_one_of_which_nothing_is_selected(shape, nothing):
    empty = torch.ones(shape)
    inputs = loss_inputs(empty, empty, torch.full(shape, nothing), opponents=True)
    assert all(tensor.shape == tuple(max(1, side) for side in shape) for tensor in inputs)
    assert (inputs[2] == nothing).all()
