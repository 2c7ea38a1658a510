"""`ranklight fit` in this process, with parts so small that a run takes about a second."""

import contextlib
import copy
import inspect
import io
import json
import os
import sys
from typing import Any, NamedTuple

import torch
import yaml
from pytorch_lightning import LightningDataModule, LightningModule, Trainer
from torch import nn
from torch.utils.data import DataLoader

from ranklight.__main__ import main
from ranklight.commands.lightning_cli import RanklightCLI
from ranklight.commands.trainer import RanklightTrainer
from ranklight.datamodules import Batch

HERE = "tests.commands.command_line"
PARSERS: dict[str, dict[str, Any]] = {}


def build_parsers_once(patch):
    """A command's parser, which takes longer than a short run, is built once in this process."""
    whole_setup = RanklightCLI.setup_parser
    names = ("parser", "_subcommand_parsers", "_subcommand_method_arguments")

    def setup(cli, *given):
        (verb,) = cli.subcommands()
        if verb not in PARSERS:
            whole_setup(cli, *given)
            PARSERS[verb] = {name: getattr(cli, name) for name in names}
        for parser in (PARSERS[verb]["parser"], *PARSERS[verb]["_subcommand_parsers"].values()):
            vars(parser).pop("print_config", None)  # which an error may have left
        vars(cli).update(PARSERS[verb])

    patch.setattr(RanklightCLI, "setup_parser", setup)


class Run(NamedTuple):
    """What a command built, and the state dict of the module before it learnt."""

    model: LightningModule
    data: Any
    trainer: Trainer
    start: dict[str, Any]

    @property
    def end(self):
        return self.model.state_dict()


class Refusal(NamedTuple):
    """What a command said instead."""

    words: str


class CommandLine:
    """`command_line(configuration, options)` is the `Run` of that fit, or its `Refusal`.

    One and the same call is made once. config.yaml, much of what a short run costs, is left out.
    With `learns` false, fit sets the data module up and ends.
    """

    def __init__(self, patch, learns=True):
        self.known = {}
        self.recorded = None
        self.learns = learns
        self.trainer_fit = RanklightTrainer.fit
        build_parsers_once(patch)
        patch.setattr("ranklight.commands.lightning_cli.SaveConfig", None)
        patch.setattr(RanklightTrainer, "fit", lambda *given, **named: self.fit(*given, **named))
        patch.setenv("RANKLIGHT_RUN", "restored when the patch is undone")
        self.patch = patch

    def __call__(self, configuration, options=()):
        words = [f"--{key}={written(value)}" for key, value in dict(options).items()]
        call = json.dumps([configuration, words])
        if call not in self.known:
            self.known[call] = self.run(configuration, words)
        return self.known[call]

    def run(self, configuration, words):
        number = str(len(self.known))
        with open(f"{number}.yaml", "w") as file:
            yaml.safe_dump(configuration, file)
        self.patch.setattr(
            sys, "argv", ["ranklight", "fit", "-c", file.name, "--run", number, *words]
        )
        os.environ.pop("RANKLIGHT_RUN", None)
        said = io.StringIO()
        try:
            with contextlib.redirect_stderr(said):
                main()
        except (SystemExit, ValueError, OSError) as error:
            return Refusal(f"{said.getvalue()} {error}")
        return self.recorded

    def fit(self, trainer, model, datamodule, **options):
        self.recorded = Run(model, datamodule, trainer, copy.deepcopy(model.state_dict()))
        if self.learns:
            self.trainer_fit(trainer, model, datamodule=datamodule, **options)
        else:
            datamodule.setup("fit")


def written(value):
    """A value as it is written on the command line."""
    return value if isinstance(value, str) else json.dumps(value)


def part(path, **arguments):
    """A part of a configuration; without a dot it is one of this file's."""
    path = path if "." in path else f"{HERE}.{path}"
    return {"class_path": path, "init_args": arguments}


def keys(kind):
    """The parameters that a class takes, through its **options those of its bases."""
    found = {}
    for base in kind.__mro__:
        own = inspect.signature(base.__init__).parameters if "__init__" in vars(base) else {}
        more = any(parameter.kind is parameter.VAR_KEYWORD for parameter in own.values())
        found |= {
            name: parameter
            for name, parameter in own.items()
            if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
            and name not in ("self", *found)
        }
        if own and not more:
            break
    return found


class RandomImages(LightningDataModule):
    """16 images of noise for training and 16 for validation, in batches of 8.

    Args:
        channels: Of an image.
        side: Of an image in pixels.
        classes: Of the labels.
        several: Labels are multi-hot, in place of class numbers.
    """

    def __init__(
        self, channels: int = 1, side: int = 16, classes: int = 4, several: bool = False
    ) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(1)
        index = torch.arange(32)
        labels = index % classes
        if several:
            labels = (torch.rand(32, classes, generator=draw) < 0.5).float()
        images = torch.randn(32, channels, side, side, generator=draw)
        columns = zip(images.split(8), labels.split(8), index.split(8), strict=True)
        batches = [Batch(*column) for column in columns]
        self.train, self.val = batches[:2], batches[2:]

    def train_dataloader(self) -> Any:
        return DataLoader(self.train, batch_size=None)

    def train_evaluation_dataloader(self) -> Any:
        return DataLoader(self.train, batch_size=None)

    def val_dataloader(self) -> Any:
        return DataLoader(self.val, batch_size=None)


class NormedTrunk(nn.Module):
    """A convolution with batch norm."""

    def __init__(self, channels: int = 8) -> None:
        super().__init__()
        self.channels = channels
        self.layers = nn.Sequential(
            nn.Conv2d(1, channels, 3, stride=2), nn.BatchNorm2d(channels), nn.ReLU()
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layers(images)


class OddAndEven(nn.Module):
    """R_ij = 1 where both class numbers are odd or both are even."""

    def forward(self, labels: torch.Tensor, ref_labels: torch.Tensor) -> torch.Tensor:
        return (labels[:, None] % 2 == ref_labels % 2).float()
