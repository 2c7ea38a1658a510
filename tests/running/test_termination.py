"""Signals while something runs: real processes."""

import signal
import time

import pytest
import torch

from tests.commands.small_run import CONFIG


@pytest.fixture
def start(start_command, tmp_path):
    (tmp_path / "small.yaml").write_text(CONFIG)

    def run(command, *options):
        options = ["-c", str(tmp_path / "small.yaml"), "--runs", str(tmp_path), *options]
        (process,) = start_command(command, *options)
        return process, tmp_path / "small"

    return run


def wait_for(process, path):
    while not path.exists():
        assert process.running(), process.said()
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("number", "code", "name"),
    [(signal.SIGINT, 130, "Ctrl-C: saved"), (signal.SIGTERM, 143, "SIGTERM: saved")],
)
def test_a_signal_in_training_saves_and_says_how_to_go_on(start, number, code, name):
    process, runs = start("fit", "--run", "one", "--trainer.max_epochs", "100000")
    wait_for(process, runs / "one" / "checkpoints" / "last.ckpt")
    process.send(number)
    assert process.wait(600) == code
    said = process.said()
    assert name in said
    assert f"ranklight fit -c {runs / 'one' / 'config.yaml'} --ckpt_path last" in said
    assert "Traceback" not in said
    assert not list((runs / "one" / "checkpoints").glob("*.part"))
    assert torch.load(runs / "one" / "checkpoints" / "last.ckpt")["global_step"] > 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("command", ["test", "validate", "predict"])
def test_a_signal_ends_what_has_nothing_to_save(start, number, code, command):
    slow = ["--data.init_args.fails_in", "slow"]
    process, runs = start(command, "--allow_untrained", "true", "--run", "one", *slow)
    wait_for(process, runs / "one" / "run.json")
    process.send(number)
    assert process.wait(600) == code
    assert "Traceback" not in process.said()
    assert "stopped by a signal" in (runs / "one" / "run.json").read_text()
