import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from tests.trees import image_folder

CONFIG = """
seed_everything: 3
model:
  class_path: ranklight.lightning_modules.MetricLearning
  init_args:
    encoder:
      class_path: ranklight.models.Encoder
      init_args:
        trunk:
          class_path: ranklight.models.SmallConvNet
          init_args: {in_channels: 3, width: 8}
        embedding_dim: 4
    objective:
      class_path: ranklight.pairs.Objective
      init_args:
        loss: ranklight.losses.MultiSimilarityLoss
    optimizer:
      class_path: torch.optim.SGD
      init_args: {lr: 1.0e-2}
data:
  class_path: ranklight.datamodules.ImageFolder
  init_args:
    classes_per_batch: 2
    samples_per_class: 2
    batches_per_epoch: 4
    image_size: 16
    resize: 16
    num_workers: 0
    eval_batch_size: 4
last:
  every_n_train_steps: 2
trainer:
  accelerator: cpu
  max_steps: 8
  log_every_n_steps: 1
  num_sanity_val_steps: 0
  enable_progress_bar: false
  enable_model_summary: false
callbacks:
  curves: ranklight.callbacks.TrainingCurves
  evaluation: {class_path: ranklight.callbacks.RetrievalEvaluation}
"""
ENDLESS = ["--trainer.max_steps", "1000000", "--callbacks.curves", "null"]
"""Only a fault ends such a run."""


@pytest.fixture(scope="session")
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp("experiment") / "small.yaml"
    path.write_text(CONFIG)
    return path


def write_images(folder):
    for split in ("train", "val", "test"):
        image_folder(folder / split, {f"{split} {name}": 4 for name in "abc"})
    return folder


@pytest.fixture
def images(tmp_path):
    return write_images(tmp_path / "images")


@pytest.fixture
def start(start_command, config, images, tmp_path):
    """`start(verb, *options)` -> its command, or its commands on several ranks, and its run."""

    def start(verb, *options, runs=None, name="one", ranks=1):
        runs = runs or tmp_path / "runs"
        options = ["--runs", str(runs), "--run", name, *options]
        if ranks > 1:
            options += ["-c", "experiments/trainer/ddp_cpu.yaml", "--trainer.devices", str(ranks)]
        data = ["--data.init_args.root", str(images)]
        commands = start_command(verb, "-c", str(config), *data, *options, ranks=ranks)
        return commands if ranks > 1 else commands[0], Path(runs) / "small" / name

    return start


@pytest.fixture(scope="session")
def trained_once(start_command, config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    options = ["--data.init_args.root", str(write_images(folder / "images"))]
    options += ["--runs", str(folder / "runs"), "--run", "one"]
    (command,) = start_command("fit", "-c", str(config), *options)
    command.succeed()
    return folder / "runs"


@pytest.fixture
def trained(trained_once, tmp_path):
    """A run of eight steps, as it was left."""
    runs = shutil.copytree(trained_once, tmp_path / "runs", symlinks=True)
    return runs / "small" / "one"


@pytest.fixture
def wait_for():
    """Wait for a file, or until a command has ended, which it must not."""

    def wait(path, *commands):
        while not path.exists():
            for command in commands:
                assert command.running(), command.said()
            time.sleep(0.005)

    return wait


@pytest.fixture
def mounted(tmp_path):
    """`with mounted(options) as folder`: a small disk in memory; skips who may not mount one."""

    @contextmanager
    def mount(options):
        if sys.platform != "linux" or os.getuid():
            pytest.skip("only root on Linux mounts a disk")
        with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
            command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder]
            if subprocess.run(command, capture_output=True).returncode:
                pytest.skip("mounting a disk is not allowed here")
            try:
                yield Path(folder)
            finally:
                subprocess.run(["umount", "-l", folder], check=True)

    return mount


@pytest.fixture
def steps_saved():
    """Steps of `last.ckpt`, read to its end."""

    def read(run):
        path = run / "checkpoints" / "last.ckpt"
        return torch.load(path, weights_only=True)["global_step"]

    return read
