"""docs/migrating.md: each line of its tables runs beside the installed pytorch-metric-learning."""

import copy
import inspect
import math
import re
from pathlib import Path

import pytest
import pytorch_metric_learning as pml
import torch
import torch.nn.functional as F
from pytorch_metric_learning import (
    datasets,
    distances,
    reducers,
    regularizers,
    samplers,
    testers,
    trainers,
)
from pytorch_metric_learning import losses as peer_losses
from pytorch_metric_learning import miners as peer_miners

from ranklight import losses, miners
from ranklight.pairs import ClassCenters, InBatch, Objective, SameClass, compare

PAGE = (Path(__file__).parents[1] / "docs" / "migrating.md").read_text()
ROOMS = [
    datasets,
    distances,
    peer_losses,
    peer_miners,
    reducers,
    regularizers,
    samplers,
    testers,
    trainers,
]
THEIRS = {**vars(reducers), **vars(distances), **vars(peer_losses), "degrees": math.degrees}


def table(heading):
    """The lines of the first table under a heading: (theirs, ours)."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    return [tuple(cell.strip() for cell in line.strip("|").split(" | ")) for line in lines]


def code(cell):
    return cell[1:-1] if re.fullmatch(r"`[^`]*`", cell) else None


def batch():
    torch.manual_seed(0)
    return torch.randn(25, 8, dtype=torch.float64).requires_grad_(), torch.arange(25) % 5


def our_objective(expression, peer):
    """Ours, with the peer's centers where there are any."""
    with_centers = {
        name: ClassCenters(7, 8, centers_per_class=several)
        for name, several in (("C", 1), ("C3", 3), ("C10", 10))
    }
    names = {**vars(losses), "Objective": Objective, "radians": math.radians, **with_centers}
    objective = eval(expression, names).double()
    if isinstance(objective.references, ClassCenters):
        (given,) = peer.parameters()
        centers = objective.references.centers
        centers.data.copy_(given if given.shape == centers.shape else given.T)
    return objective


def value_and_gradient(loss):
    z, labels = batch()
    torch.manual_seed(1)
    value = loss(F.normalize(z), labels)
    return value.detach(), torch.autograd.grad(value, z)[0]


@pytest.mark.parametrize(("theirs", "ours"), table("Losses"))
def test_a_loss_is_the_same_number(theirs, ours):
    torch.manual_seed(0)
    peer = eval(code(theirs), dict(THEIRS)).double()
    if code(ours):
        objective = our_objective(code(ours), peer)
    else:
        assert ours.endswith(": `FromPML`")
        objective = Objective(losses.FromPML(copy.deepcopy(peer)))
    torch.testing.assert_close(
        value_and_gradient(objective), value_and_gradient(peer), rtol=1e-6, atol=1e-9
    )


def pairs_of(selection):
    """The pairs of a selection; of opponents those of their triplets."""
    if selection.dtype == torch.bool:
        return selection
    kept = selection >= 0
    rows, columns = kept.nonzero().T
    pairs = kept.clone()
    pairs[rows, selection[rows, columns]] = True
    return pairs


@pytest.mark.parametrize(("theirs", "ours"), table("Miners"))
def test_a_miner_keeps_the_same_pairs(theirs, ours):
    z, labels = batch()
    z = F.normalize(z.detach())
    pairs = compare(z, labels, InBatch(), SameClass())
    torch.manual_seed(1)
    peer = miners.FromPML(eval(code(theirs), vars(peer_miners)))
    expected = peer(z, labels, z, labels, pairs.mask)
    assert expected.any()
    if code(ours):
        assert pairs_of(eval(code(ours), vars(miners))(*pairs)).equal(expected)
    else:
        assert ours.endswith("`FromPML`")


def test_every_public_class_has_its_line():
    public = {
        name for room in ROOMS for name, thing in vars(room).items() if inspect.isclass(thing)
    }
    assert {"ArcFaceLoss", "HDCMiner", "CUB"} <= public
    named = set(re.findall(r"`(\w+)", PAGE))
    assert not sorted(public - named), f"of {pml.__version__}"
