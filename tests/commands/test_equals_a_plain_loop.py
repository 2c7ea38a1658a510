"""A run of the command line ends with the weights that a plain loop of the same parts ends with."""

import sys
from itertools import islice

import pytest
import torch
import torch.nn.functional as F
import yaml

from ranklight.__main__ import main
from ranklight.datamodules import DigitClasses, Digits, DigitScenes
from ranklight.losses import LSEPLoss, MultiSimilarityLoss, TripletLoss
from ranklight.miners import MultiSimilarityMiner
from ranklight.models import Encoder, LinearHead, TwoHeads
from ranklight.pairs import CrossBatchMemory, Objective
from tests.commands.command_line import build_parsers_once

STEPS = 20
PARTS = '''
import torch
from pytorch_lightning import Callback
from torch import nn


class NormedTrunk(nn.Module):
    """Small, with batch norm, so that its mode in training shows in the weights."""

    channels = 8

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, stride=2)
        )

    def forward(self, images):
        return self.layers(images)


class KeepStart(Callback):
    def on_fit_start(self, trainer, pl_module):
        torch.save(pl_module.state_dict(), "start.pt")
'''
BATCHES = {"classes_per_batch": 4, "samples_per_class": 4}


def part(path, **arguments):
    return {"class_path": path, "init_args": arguments}


def encoder(**arguments):
    return part("ranklight.models.Encoder", trunk="parts.NormedTrunk", **arguments)


MULTI_SIMILARITY = {
    "loss": "ranklight.losses.MultiSimilarityLoss",
    "miner": "ranklight.miners.MultiSimilarityMiner",
}
MEMORY = part("ranklight.pairs.CrossBatchMemory", size=40, start_step=3)


def metric_learning(parts, freeze=False, memory=False):
    objective = dict(MULTI_SIMILARITY, **({"references": MEMORY} if memory else {}))
    config = part(
        "ranklight.lightning_modules.MetricLearning",
        encoder=encoder(embedding_dim=8, freeze_batch_norm=freeze),
        objective=part("ranklight.pairs.Objective", **objective),
    )
    network = Encoder(parts.NormedTrunk(), 8, freeze_batch_norm=freeze)
    references = CrossBatchMemory(40, start_step=3) if memory else None
    ranking = Objective(MultiSimilarityLoss(), MultiSimilarityMiner(), references)
    module = torch.nn.ModuleDict({"encoder": network, "objective": ranking})

    def loss(batch):
        return ranking(network(batch.images), batch.labels, batch.index)

    return config, part("ranklight.datamodules.Digits", **BATCHES), Digits(**BATCHES), module, loss


def two_heads(parts, freeze=False):
    model = part(
        "ranklight.models.TwoHeads",
        trunk="parts.NormedTrunk",
        num_classes=10,
        image_shape=[1, 32, 32],
        embedding_dim=8,
    )
    config = part(
        "ranklight.lightning_modules.TwoHeadClassification",
        model=model,
        objective=part("ranklight.pairs.Objective", loss="ranklight.losses.TripletLoss"),
        weight=0.5,
    )
    network = TwoHeads(parts.NormedTrunk(), 10, (1, 32, 32), 8)
    ranking = Objective(TripletLoss())
    module = torch.nn.ModuleDict({"model": network, "objective": ranking})

    def loss(batch):
        output = network(batch.images)
        cross_entropy = F.cross_entropy(output.logits, batch.labels)
        return cross_entropy + 0.5 * ranking(output.embeddings, batch.labels, batch.index)

    data = part("ranklight.datamodules.DigitClasses", **BATCHES)
    return config, data, DigitClasses(**BATCHES), module, loss


def multi_label(parts, freeze=False):
    config = part(
        "ranklight.lightning_modules.MultiLabelClassification",
        encoder=encoder(embedding_dim=None, normalize=False, freeze_batch_norm=freeze),
        loss="ranklight.losses.LSEPLoss",
        num_classes=10,
    )
    network = Encoder(parts.NormedTrunk(), None, normalize=False, freeze_batch_norm=freeze)
    head = LinearHead()
    head.complete(10, 8)
    ranking = LSEPLoss()
    module = torch.nn.ModuleDict({"encoder": network, "loss": ranking, "head": head})

    def loss(batch):
        labels = batch.labels.double()
        return ranking(head(network(batch.images)), labels, labels >= 0)

    few = {"batch_size": 16, "train_scenes": 100, "val_scenes": 20, "test_scenes": 20}
    return (
        config,
        part("ranklight.datamodules.DigitScenes", **few),
        DigitScenes(**few),
        module,
        loss,
    )


@pytest.fixture
def parts(tmp_path, monkeypatch):
    (tmp_path / "parts.py").write_text(PARTS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("RANKLIGHT_RUN", "restored after the test")
    monkeypatch.delenv("RANKLIGHT_RUN")
    build_parsers_once(monkeypatch)
    sys.modules.pop("parts", None)
    import parts

    yield parts
    sys.modules.pop("parts", None)


def run(config, data, monkeypatch, accumulate):
    model = config["init_args"] | {"optimizer": part("torch.optim.SGD", lr=0.05, momentum=0.9)}
    trainer = {
        "max_steps": STEPS,
        "accelerator": "cpu",
        "precision": "64-true",
        "accumulate_grad_batches": accumulate,
        "limit_val_batches": 1,
        "val_check_interval": 3,
        "check_val_every_n_epoch": None,
        "enable_progress_bar": False,
        "callbacks": [{"class_path": "parts.KeepStart"}],
    }
    content = {
        "model": config | {"init_args": model},
        "data": data,
        "trainer": trainer,
        "best": {"monitor": None},
    }
    with open("run.yaml", "w") as file:
        yaml.safe_dump(content, file)
    monkeypatch.setattr(sys, "argv", ["ranklight", "fit", "-c", "run.yaml"])
    main()
    return torch.load("runs/run/latest/checkpoints/last.ckpt", weights_only=True)["state_dict"]


def batches(data):
    """The training batches of the data module, epoch after epoch."""
    data.setup("fit")
    loader = data.train_dataloader()
    while True:
        yield from loader


def plain_loop(module, loss, data, accumulate):
    known = module.state_dict()
    start = torch.load("start.pt", weights_only=True)
    module.double().load_state_dict({name: start[name] for name in known})
    module.train()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.05, momentum=0.9)
    stream = batches(data)
    for _ in range(STEPS):
        for batch in islice(stream, accumulate):
            (loss(batch) / accumulate).backward()
        optimizer.step()
        optimizer.zero_grad()
    return module.state_dict()


CASES = {
    "metric learning": (metric_learning, {}, 1),
    "metric learning, frozen": (metric_learning, {"freeze": True}, 1),
    "metric learning, memory": (metric_learning, {"freeze": True, "memory": True}, 1),
    "metric learning, accumulated": (metric_learning, {"freeze": True, "memory": True}, 2),
    "two heads": (two_heads, {}, 1),
    "two heads, accumulated": (two_heads, {}, 2),
    "multi-label": (multi_label, {}, 1),
    "multi-label, frozen": (multi_label, {"freeze": True}, 1),
}


@pytest.mark.parametrize("name", CASES)
def test_a_run_is_the_plain_loop(name, parts, monkeypatch):
    build, arguments, accumulate = CASES[name]
    config, data, data_module, module, loss = build(parts, **arguments)
    ours = run(config, data, monkeypatch, accumulate)
    theirs = plain_loop(module, loss, data_module, accumulate)
    start = torch.load("start.pt", weights_only=True)
    for key, expected in theirs.items():
        if not isinstance(expected, torch.Tensor):
            continue
        difference = (ours[key].double() - expected.double()).abs().max()
        assert difference < 1e-9, f"{key} differs by {difference}"
        frozen = "running" in key and arguments.get("freeze", False)
        if expected.is_floating_point():
            assert torch.equal(start[key], ours[key]) == frozen, key
