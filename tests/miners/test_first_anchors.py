import pytest
import torch
import torch.distributed as dist

from ranklight.miners import FirstAnchors
from ranklight.pairs import InBatch


@pytest.mark.parametrize("anchors", [1, 3, 9])
def test_only_the_first_rows_keep_their_pairs(anchors):
    mask = torch.rand(5, 7) < 0.6
    kept = FirstAnchors(anchors)(torch.rand(5, 7), torch.rand(5, 7), mask)
    assert torch.equal(kept[:anchors], mask[:anchors])
    assert not kept[anchors:].any()


def kept_pairs(anchors):
    """The kept pairs as images of the global batch, from this rank's share of it."""
    rank, ranks = dist.get_rank(), dist.get_world_size()
    images = torch.arange(12)[rank::ranks]
    found = InBatch()(images[:, None].float(), images)
    kept = FirstAnchors(anchors)(
        torch.rand(found.mask.shape), torch.rand(found.mask.shape), found.mask
    )
    row, column = kept.nonzero(as_tuple=True)
    return list(zip(images[row].tolist(), found.labels[column].tolist(), strict=True))


@pytest.mark.parametrize("anchors", [1, 3])
def test_ranks_keep_the_pairs_of_the_global_batchs_first_rows(run_on_ranks, anchors):
    kept = [pair for share in run_on_ranks(kept_pairs, 2, anchors) for pair in share]
    assert sorted(kept) == [(a, j) for a in range(anchors) for j in range(12) if j != a]
