"""References in blocks: the loss and the gradient of all at once, from less memory."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ranklight import losses
from ranklight.miners import KeepAll
from ranklight.pairs import ClassCenters, Objective

IN_BLOCKS = {
    "ArcFace": losses.ArcFaceLoss,
    "CosFace": losses.CosFaceLoss,
    "normalised softmax": losses.NormalizedSoftmaxLoss,
    "Proxy-NCA": partial(losses.ProxyNCALoss, own_in_sum=False),
    "Proxy-NCA++": losses.ProxyNCALoss,
    "SoftTriple": losses.SoftTripleLoss,
    "sub-centers": losses.SubCenterArcFaceLoss,
}


def objective(loss, block, classes=50, dim=8):
    torch.manual_seed(0)
    several = getattr(loss, "centers_per_class", 1)
    centers = ClassCenters(classes, dim, centers_per_class=several)
    size = block and block * several
    return Objective(loss, references=centers, references_per_block=size).double()


def step(objective, classes=50, dim=8):
    torch.manual_seed(1)
    z = F.normalize(torch.randn(12, dim, dtype=torch.float64)).requires_grad_()
    loss = objective(z, torch.randint(classes, (12,)))
    loss.backward()
    return loss.detach(), z.grad, objective.references.centers.grad


@pytest.mark.parametrize("name", IN_BLOCKS)
@pytest.mark.parametrize("block", [1, 7, 50, 1000])
def test_is_the_whole(name, block):
    loss = IN_BLOCKS[name]()
    torch.testing.assert_close(step(objective(loss, block)), step(objective(loss, None)))


class _Held(TorchDispatchMode):
    """The most elements that a tensor with a row an anchor had."""

    largest = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor) and tensor.ndim == 2 and len(tensor) == 12:
                self.largest = max(self.largest, tensor.untyped_storage().nbytes() // 8)
        return result


@pytest.mark.usefixtures("unchecked")
def test_no_matrix_is_larger_than_a_block():
    for block, largest in ((7, 12 * 8), (None, 12 * 50)):
        with _Held() as held:
            step(objective(losses.ArcFaceLoss(), block))
        assert held.largest == largest  # anchors have 8 dimensions


def test_what_blocks_cannot_give_is_refused_before_training():
    centers = ClassCenters(9, 4, centers_per_class=3)
    with pytest.raises(ValueError, match=r"softmax over the row.* got ContrastiveLoss"):
        Objective(losses.ContrastiveLoss(), references=centers, references_per_block=3)
    with pytest.raises(ValueError, match="no miner; got KeepAll"):
        Objective(losses.ArcFaceLoss(), KeepAll(), centers, references_per_block=3)
    with pytest.raises(ValueError, match="multiple of the 3 centers of a class; got 4"):
        Objective(losses.SubCenterArcFaceLoss(), references=centers, references_per_block=4)
    with pytest.raises(ValueError, match="1 to "):
        Objective(losses.ArcFaceLoss(), references=centers, references_per_block=0)
