"""One, two and four processes train to the same weights, whatever is trained for."""

import copy

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from ranklight import losses, miners, pairs
from ranklight.datamodules import Batch
from ranklight.lightning_modules import (
    MetricLearning,
    MultiLabelClassification,
    TwoHeadClassification,
)

BATCH, PIXELS, DIM, CLASSES, STEPS = 8, (1, 4, 4), 6, 5, 20


class Encoder(nn.Sequential):
    embedding_dim = DIM

    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(16, 12), nn.Tanh(), nn.Linear(12, DIM))


class TwoHeaded(nn.Module):
    num_classes, image_shape, embedding_dim = CLASSES, PIXELS, DIM

    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Flatten(), nn.Linear(16, 12), nn.Tanh())
        self.class_head = nn.Linear(12, CLASSES)
        self.embedding_head = nn.Linear(12, DIM)

    def forward(self, images):
        pooled = self.trunk(images)
        return Output(self.class_head(pooled), self.embedding_head(pooled), pooled)


class Output:
    def __init__(self, logits, embeddings, pooled):
        self.logits, self.embeddings, self.pooled = logits, embeddings, pooled


def metric(loss, miner=None, references=None, relevance=None, chunk_size=None):
    objective = pairs.Objective(loss, miner, references, relevance)
    return MetricLearning(Encoder(), objective, optimizer, chunk_size=chunk_size)


def optimizer(parameters):
    return torch.optim.SGD(parameters, 0.1, momentum=0.9)


def multi_label(loss):
    return MultiLabelClassification(Encoder(), loss, optimizer, num_classes=CLASSES)


def centers(center_learning_rate=None, normalize=True):
    return pairs.ClassCenters(CLASSES, DIM, normalize, center_learning_rate=center_learning_rate)


def drawn_centers():
    return pairs.ClassCenters(8 * CLASSES, DIM, sampled_classes=2 * BATCH)


def merging_centers():
    return pairs.ClassCenters(CLASSES, DIM, centers_per_class=3, center_merging=0.2)


def memory():
    return pairs.CrossBatchMemory(30, start_step=2)


METHODS = {
    "contrastive": lambda: metric(losses.ContrastiveLoss()),
    "multi-similarity": lambda: metric(losses.MultiSimilarityLoss(), miners.MultiSimilarityMiner()),
    "all triplets": lambda: metric(losses.TripletLoss()),
    "semi-hard triplets": lambda: metric(losses.TripletLoss(), miners.SemiHard()),
    "hardest triplets": lambda: metric(losses.TripletLoss(), miners.Hardest()),
    "proxies": lambda: metric(losses.ProxyAnchorLoss(), references=centers()),
    "centers that move": lambda: metric(losses.CenterLoss(), references=centers(0.5, False)),
    "ArcFace": lambda: metric(losses.ArcFaceLoss(), references=centers()),
    "ArcFace, classes drawn": lambda: metric(losses.ArcFaceLoss(), references=drawn_centers()),
    "SoftTriple": lambda: metric(
        losses.SoftTripleLoss(centers_per_class=3), references=merging_centers()
    ),
    "memory": lambda: metric(losses.ContrastiveLoss(), references=memory()),
    "memory, semi-hard": lambda: metric(losses.TripletLoss(), miners.SemiHard(), memory()),
    "log-ratio": lambda: metric(losses.LogRatioLoss(), relevance=pairs.LabelCloseness()),
    "smooth AP": lambda: metric(losses.SmoothAPLoss()),
    "supervised contrastive": lambda: metric(losses.SupConLoss()),
    "rank-n-contrast": lambda: metric(losses.RankNContrastLoss(), relevance=pairs.LabelCloseness()),
    "two heads": lambda: TwoHeadClassification(
        TwoHeaded(), optimizer, pairs.Objective(losses.TripletLoss(), miners.Hardest())
    ),
    "in chunks": lambda: metric(losses.ContrastiveLoss(), chunk_size=1),
    "two-way": lambda: multi_label(losses.TwoWayLoss()),
    "LSEP": lambda: multi_label(losses.LSEPLoss(max_pairs=None)),
}
METHODS |= {
    "InfoNCE": lambda: metric(losses.InfoNCELoss()),
    "circle": lambda: metric(losses.CircleLoss()),
    "margin, a boundary a class": lambda: metric(
        losses.MarginLoss(num_classes=CLASSES), miners.Hardest()
    ),
    "recall@k": lambda: metric(losses.RecallAtKLoss()),
    "a regression and its regulariser": lambda: MetricLearning(
        Encoder(),
        pairs.WeightedSum(
            {
                "regression": pairs.Regression(losses.AbsoluteErrorLoss(), 2, DIM),
                "ranks": pairs.Objective(losses.RankSimLoss(), relevance=pairs.LabelCloseness()),
            },
            {"ranks": 100.0},
        ),
        optimizer,
    ),
    "prefixes": lambda: MetricLearning(
        Encoder(),
        pairs.Matryoshka(pairs.Objective(losses.ContrastiveLoss(), references=memory()), [2, DIM]),
        optimizer,
    ),
}
CONTINUOUS = {"log-ratio", "rank-n-contrast", "a regression and its regulariser"}
MULTI_HOT = {"two-way", "LSEP"}


def batch(name, step):
    draw = torch.Generator().manual_seed(step)
    images = torch.rand(BATCH, *PIXELS, generator=draw, dtype=torch.float64)
    if name in CONTINUOUS:
        labels = torch.rand(BATCH, 2, generator=draw, dtype=torch.float64)
    elif name in MULTI_HOT:
        labels = torch.randint(2, (BATCH, CLASSES), generator=draw).double()
    else:
        labels = torch.arange(BATCH) % 3
        if step == 1:
            labels = torch.tensor([0, 1, 0, 2, 0, 3, 0, 4])  # no positive pair on odd ranks
    index = torch.randperm(50, generator=draw)[:BATCH]
    return Batch(images, labels, index)


def share(batch):
    rank, world_size = dist.get_rank(), dist.get_world_size()
    return Batch(*(rows[rank::world_size] for rows in batch))


def quiet(module):
    module.log = module.log_dict = lambda *_, **__: None
    return module


def train(names):
    """The gradient of the first steps and the end, as DistributedDataParallel averages them."""
    return {name: train_one(name) for name in names}


def train_one(name):
    torch.manual_seed(0)
    module = quiet(METHODS[name]()).double().train()
    wrapped = DistributedDataParallel(Step(module))
    stepper = optimizer(module.parameters())
    gradients = []
    for step in range(STEPS):
        stepper.zero_grad()
        wrapped(share(batch(name, step)), step).backward()
        if step < 4:
            gradients.append([copy.deepcopy(p.grad) for p in module.parameters()])
        stepper.step()
    state = module.state_dict()
    return gradients, {key: value for key, value in state.items() if torch.is_tensor(value)}


class Step(nn.Module):
    """What Lightning wraps: forward is the training step."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, *arguments):
        loss = self.module.training_step(*arguments)
        return loss if torch.is_tensor(loss) else loss["loss"]


def assert_close(found, expected):
    """Up to 1e-6 of the length of a gradient or weight: some modules compute in float32."""
    if isinstance(expected, dict):
        assert_close(list(found.values()), list(expected.values()))
    elif isinstance(expected, list):
        for one, other in zip(found, expected, strict=True):
            assert_close(one, other)
    else:
        difference = (found - expected).double().norm()
        assert difference <= 1e-6 * expected.double().norm() + 1e-12


@pytest.fixture(scope="module")
def results():
    return {}


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_train(run_on_ranks, results, world_size):
    results[world_size] = run_on_ranks(train, world_size, list(METHODS))


@pytest.mark.parametrize("world_size", [2, 4])
@pytest.mark.parametrize("name", METHODS)
def test_gradients_and_weights_are_those_of_one_process(results, name, world_size):
    for needed in (1, world_size):
        if needed not in results:
            pytest.skip(f"test_train[{needed}] left no results")
    (alone,), ranks = results[1], results[world_size]
    gradients, weights = alone[name]
    for found_gradients, found_weights in (rank[name] for rank in ranks):
        assert_close(found_gradients, gradients)
        assert_close(found_weights, weights)
