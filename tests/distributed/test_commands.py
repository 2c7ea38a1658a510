"""The command line on several processes: their weights, their run directory, their faults."""

import csv
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from ranklight.running import WarnOfLocalBatchNorm

DDP_CPU = "experiments/trainer/ddp_cpu.yaml"
REFERENCES = "--model.init_args.objective.init_args.references.init_args"


@pytest.fixture(scope="module")
def fit(start_command, configs, tmp_path_factory):
    runs = tmp_path_factory.mktemp("runs")

    def start(config, name, *options, ranks=1):
        options = ["--runs", str(runs), "--run", name, *options]
        if ranks > 1:
            options = ["-c", DDP_CPU, "--trainer.devices", str(ranks), *options]
        commands = start_command(
            "fit", "-c", str(configs / f"{config}.yaml"), *options, ranks=ranks
        )
        return commands, runs / config / name

    return start


@pytest.fixture(scope="module")
def trained(fit, once):
    def train(config, ranks, accumulate):
        options = ["--trainer.accumulate_grad_batches", str(accumulate)]
        commands, run = fit(config, f"by-{ranks}-{accumulate}", *options, ranks=ranks)
        for command in commands:
            command.succeed()
        return state(run)

    return once(train)


def state(run):
    checkpoint = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 20
    state = checkpoint["state_dict"]
    memory = state.pop("objective.references._extra_state", {"rows": {}})
    return state | {f"memory.{name}": rows.double() for name, rows in memory["rows"].items()}


def assert_same(found, expected):
    assert list(found) == list(expected)
    for name in expected:
        difference = (found[name] - expected[name]).norm()
        assert difference <= 1e-6 * expected[name].norm() + 1e-12, name


@pytest.mark.parametrize(("config", "accumulate"), [("pairs", 1), ("two_heads", 1), ("pairs", 2)])
def test_two_processes_train_to_the_weights_and_memory_of_one(trained, config, accumulate):
    assert_same(trained(config, 2, accumulate), trained(config, 1, accumulate))


def test_a_run_goes_on_with_another_number_of_processes(fit, trained):
    ranks_until = {1: 6, 2: 14, 0: 20}
    resume = []
    for ranks, until in ranks_until.items():
        options = [*resume, "--trainer.max_steps", str(until)]
        commands, run = fit("pairs", "changing", *options, ranks=max(1, ranks))
        said = [command.succeed() for command in commands]
        resume = ["--ckpt_path", "last"]
    assert "written by 2 processes, now there are 1" in said[0]
    assert_same(state(run), trained("pairs", 1, 1))


def test_a_memory_of_another_size_is_refused(fit, trained):
    trained("pairs", 1, 1)
    options = ["--ckpt_path", "last", f"{REFERENCES}.size", "50", "--trainer.max_steps", "21"]
    (command,), _ = fit("pairs", "by-1-1", *options)
    assert command.wait()
    assert "has a memory of 5000 rows, this one has 50" in command.said()


def test_a_batch_that_ranks_cannot_share_is_refused_by_all(fit):
    samples = ["--data.init_args.samples_per_class", "5", "--data.init_args.classes_per_batch", "3"]
    commands, _ = fit("pairs", "odd", *samples, ranks=2)
    assert [command.wait() for command in commands] == [2, 2]
    said = "".join(command.said() for command in commands)
    assert said.count("global batch of 15 images cannot be shared equally by 2 ranks") == 1
    assert "Traceback" not in said


def test_a_rank_that_hangs_ends_the_others_after_the_timeout(fit):
    timeout = ["--trainer.strategy.init_args.timeout", "0:00:03"]
    commands, run = fit("pairs", "hung", *timeout, "--trainer.max_steps", "10000", ranks=2)
    while not (run / "checkpoints" / "last.ckpt").exists():
        assert all(command.running() for command in commands), commands[0].said()
        time.sleep(0.01)
    commands[1].send(signal.SIGSTOP)
    assert commands[0].wait()
    commands[1].send(signal.SIGKILL)
    assert commands[1].wait() == -signal.SIGKILL


@pytest.fixture
def launch(configs, tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    environment.pop("RANKLIGHT_RUN", None)

    def run(*launcher):
        command = [
            sys.executable,
            "-m",
            *launcher,
            "fit",
            "-c",
            str(configs / "pairs.yaml"),
        ]
        command += ["-c", DDP_CPU, "--runs", str(tmp_path), "--trainer.max_steps", "2"]
        ended = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=600
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        (run,) = [path for path in (tmp_path / "pairs").iterdir() if not path.is_symlink()]
        with (run / "metrics.csv").open(newline="") as file:
            trained = [row["step"] for row in csv.DictReader(file) if row["train/loss"]]
        assert trained == ["0", "1"]

    return run


def test_the_command_starts_its_other_process_itself(launch):
    launch("ranklight")


def test_torchrun_starts_processes_with_one_run_directory(launch):
    launch("torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "ranklight")


@pytest.mark.parametrize(
    ("world_size", "frozen", "shared", "warned"),
    [
        (2, False, False, True),
        (1, False, False, False),
        (2, True, False, False),
        (2, False, True, False),
    ],
)
def test_batch_norm_of_a_share_of_the_batch_is_warned_of(
    recwarn, unchecked, world_size, frozen, shared, warned
):
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    network[1].train(not frozen)
    if shared:
        network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
    WarnOfLocalBatchNorm().on_train_start(SimpleNamespace(world_size=world_size), network)
    assert any("sync_batchnorm" in str(warning.message) for warning in recwarn) == warned


@pytest.mark.parametrize("names", [["ddp_cpu"], ["gpus"], ["gpus", "slurm"]])
def test_launch_files_say_what_the_trainer_understands(start_command, configs, names):
    files = ["-c", str(configs / "pairs.yaml")]
    for name in names:
        files += ["-c", f"experiments/trainer/{name}.yaml"]
    (command,) = start_command("fit", *files, "--print_config")
    assert "class_path: pytorch_lightning.strategies.DDPStrategy" in command.succeed()
