"""Runs of a second, of each kind of module, and pictures to look at."""

import sys

import pytest
import yaml

from ranklight.__main__ import main
from tests.commands.command_line import build_parsers_once
from tests.trees import image_folder

TRUNK = {
    "class_path": "ranklight.models.SmallConvNet",
    "init_args": {"in_channels": 3, "width": 8},
}
OBJECTIVE = {
    "class_path": "ranklight.pairs.Objective",
    "init_args": {"loss": "ranklight.losses.MultiSimilarityLoss"},
}
ADAM = {"class_path": "torch.optim.Adam", "init_args": {"lr": 0.01}}


def encoder(dimensions, normalize=True):
    arguments = {"trunk": TRUNK, "embedding_dim": dimensions, "normalize": normalize}
    return {"class_path": "ranklight.models.Encoder", "init_args": arguments}


def module(name, **arguments):
    path = f"ranklight.lightning_modules.{name}"
    return {"class_path": path, "init_args": {"optimizer": ADAM, **arguments}}


METRIC = module("MetricLearning", encoder=encoder(6), objective=OBJECTIVE)
TWO_HEAD = module(
    "TwoHeadClassification",
    objective=OBJECTIVE,
    model={
        "class_path": "ranklight.models.TwoHeads",
        "init_args": {"trunk": TRUNK, "embedding_dim": 5},
    },
)


def multi_label(*rules):
    return module(
        "MultiLabelClassification",
        encoder=encoder(None, normalize=False),
        loss={"class_path": "ranklight.losses.BinaryCrossEntropyLoss"},
        decisions={rule: {"class_path": f"ranklight.models.{rule}"} for rule in rules},
    )


def folder_data(root, **more):
    arguments = {"root": str(root), "classes_per_batch": 2, "samples_per_class": 2}
    arguments |= {"image_size": 16, "resize": 20, "num_workers": 0, "validation": "image_disjoint"}
    return {"class_path": "ranklight.datamodules.ImageFolder", "init_args": arguments | more}


def pictures_for_training(root):
    for split, count in (("train", 12), ("test", 3)):
        image_folder(root / split, dict.fromkeys("abc", count))
    return root


def train(folder, model, data, *options, callbacks=None):
    """A run of two steps, `folder/small/one`."""
    configuration = {
        "model": model,
        "data": data,
        "callbacks": callbacks or {},
        "trainer": {
            "accelerator": "cpu",
            "max_epochs": 1,
            "limit_train_batches": 2,
            "num_sanity_val_steps": 0,
            "log_every_n_steps": 1,
            "enable_progress_bar": False,
            "enable_model_summary": False,
        },
    }
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "small.yaml"
    file.write_text(yaml.safe_dump(configuration))
    command = ["fit", "-c", str(file), "--runs", str(folder), "--run", "one", *options]
    ranklight(*command)
    return folder / "small" / "one"


def ranklight(*command):
    """A command in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RANKLIGHT_RUN", "restored after the command")
        patch.delenv("RANKLIGHT_RUN")
        build_parsers_once(patch)
        patch.setattr(sys, "argv", ["ranklight", *map(str, command)])
        main()
