import contextlib
import csv
import tempfile
from pathlib import Path

import pytest
import torch

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
          init_args: {width: 8}
        embedding_dim: 8
    objective:
      class_path: ranklight.pairs.Objective
      init_args:
        loss: ranklight.losses.TripletLoss
        miner:
          class_path: ranklight.miners.DistanceWeighted
          init_args: {embedding_dim: 8}
        references:
          class_path: ranklight.pairs.CrossBatchMemory
          init_args: {size: 100, start_step: 3}
    optimizer:
      class_path: torch.optim.Adam
      init_args: {lr: 1.0e-3}
    lr_scheduler:
      class_path: torch.optim.lr_scheduler.OneCycleLR
      init_args: {max_lr: 3.0e-3, total_steps: 40}
    lr_interval: step
data:
  class_path: ranklight.datamodules.Digits
  init_args:
    batches:
      class_path: ranklight.datamodules.HardClassBatches
      init_args:
        classes_per_batch: 4
        samples_per_class: 4
        around: 1
        mining: {every_n_epochs: 2, negatives: 5}
last:
  every_n_train_steps: 3
trainer:
  accelerator: cpu
  max_steps: 40
  limit_train_batches: 14
  val_check_interval: 7
  log_every_n_steps: 1
  enable_progress_bar: false
  enable_model_summary: false
  callbacks:
    - class_path: ranklight.callbacks.RetrievalEvaluation
    - class_path: ranklight.callbacks.TrainingCurves
    - class_path: ranklight.running.ExponentialMovingAverage
      init_args: {decay: 0.9}
"""


@pytest.fixture(scope="session")
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp("experiment") / "small.yaml"
    path.write_text(CONFIG)
    return path


@pytest.fixture(scope="session")
def memory_disk():
    """Every checkpoint waits for the disk, so on a busy one these tests would do little else."""

    @contextlib.contextmanager
    def folder():
        shared = Path("/dev/shm")
        with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as name:
            yield Path(name)

    return folder


@pytest.fixture
def folder(memory_disk):
    with memory_disk() as folder:
        yield folder


@pytest.fixture(scope="session")
def ending():
    """What a run leaves: checkpoints but for their paths, metrics, pictures."""

    def read(run):
        names = ("checkpoints/last.ckpt", "checkpoints/best.ckpt")
        last, best = (torch.load(run / name, weights_only=True) for name in names)
        states = last["callbacks"]
        (score,) = (
            state["best_model_score"] for state in states.values() if "best_model_score" in state
        )
        parts = ("global_step", "epoch", "state_dict", "optimizer_states", "lr_schedulers")
        parts += ("random_states", "metrics_rows", "training_weights")
        ends = {
            name: {part: end[part] for part in parts if part in end}
            for name, end in zip(names, (last, best), strict=True)
        }
        with (run / "metrics.csv").open(newline="") as file:
            metrics = list(csv.DictReader(file))
        for row in metrics:
            row.pop("train/data_wait", None)
        plots = {path.name: path.read_bytes() for path in sorted(run.glob("plots/*"))}
        return {**ends, "best score": score, "metrics": metrics, "plots": plots}

    return read


@pytest.fixture(scope="session")
def assert_equal():
    """Equal to the last bit, in structures of any kind."""

    def check(one, other, path=""):
        assert type(one) is type(other), path
        if isinstance(one, torch.Tensor):
            assert torch.equal(one, other), path
        elif isinstance(one, dict):
            assert list(one) == list(other), path
            for key in one:
                check(one[key], other[key], f"{path}/{key}")
        elif isinstance(one, list | tuple):
            assert len(one) == len(other), path
            for position, (left, right) in enumerate(zip(one, other, strict=True)):
                check(left, right, f"{path}/{position}")
        else:
            assert one == other, path

    return check
