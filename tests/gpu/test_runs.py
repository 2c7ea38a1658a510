"""The quickstart on a GPU, as a process: alone, and under torchrun on NCCL."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
QUICK = "experiments/digits/multi_similarity.yaml"
ON_GPU = ["--trainer.accelerator", "gpu", "--trainer.devices", "1"]
ALONE = ["-m"]
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "1", "-m"]
NCCL = ["-c", "experiments/trainer/gpus.yaml"]
SHORT = [
    *("--trainer.max_steps", "6"),
    *("--trainer.val_check_interval", "3"),
    *("--trainer.check_val_every_n_epoch", "1"),
    *("--trainer.log_every_n_steps", "1"),
    *("--trainer.enable_progress_bar", "false"),
]


@pytest.mark.parametrize(
    ("launcher", "more"), [(ALONE, []), (TORCHRUN, NCCL)], ids=["alone", "torchrun, NCCL, bf16"]
)
def test_quickstart_fits_and_tests(launcher, more, tmp_path):
    command = [*launcher, "ranklight", "fit", "-c", QUICK, *more, *ON_GPU, *SHORT]
    run = ranklight([*command, "--runs", str(tmp_path), "--test_after_fit", "true"], tmp_path)
    results = json.loads((run / "results.json").read_text())
    assert list(results) == ["raw pixels", "untrained", "trained"]
    assert all(0 <= row["recall@1"] <= 1 for row in results.values())
    with (run / "metrics.csv").open() as file:
        logged = [float(row["train/loss"]) for row in csv.DictReader(file) if row["train/loss"]]
    assert len(logged) == 6
    checkpoint = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert all(tensor.is_cuda for tensor in checkpoint["state_dict"].values())


def ranklight(arguments, runs):
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return runs / "digits" / "multi_similarity" / "latest"
