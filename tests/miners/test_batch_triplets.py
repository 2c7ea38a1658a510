import pytest
import torch

from ranklight.miners import BatchTriplets


def test_each_querys_positive_has_its_negative_as_opponent():
    mask = ~torch.eye(6, 8, dtype=torch.bool)
    selection = BatchTriplets()(torch.rand(6, 8), torch.rand(6, 8), mask)
    expected = torch.full((6, 8), -1)
    expected[0, 1], expected[3, 4] = 2, 5
    assert torch.equal(selection, expected)


@pytest.mark.parametrize("column", [4, 5])
def test_what_the_mask_leaves_out_is_no_triplet(column):
    mask = torch.ones(6, 6, dtype=torch.bool)
    mask[3, column] = False
    selection = BatchTriplets()(torch.rand(6, 6), torch.rand(6, 6), mask)
    assert (selection >= 0).sum() == 1
    assert selection[0, 1] == 2


@pytest.mark.parametrize(("n", "m"), [(4, 4), (6, 3)])
def test_batches_without_whole_triplets_are_refused(n, m):
    with pytest.raises(ValueError, match=f"got {n} images and {m} references"):
        BatchTriplets()(torch.rand(n, m), torch.rand(n, m), torch.ones(n, m, dtype=torch.bool))
