"""Ctrl-C and SIGTERM in every stage."""

import signal

import pytest

from tests.faults.conftest import ENDLESS

SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143}


@pytest.fixture
def paused(start, wait_for, tmp_path):
    """`paused(verb, callback, *options)` -> commands that wait in it, with their run."""

    def begin(verb, callback, *options, ranks=1):
        folder = ["--trainer.callbacks.folder", str(tmp_path)]
        callbacks = ["--trainer.callbacks+", f"tests.faults.pausing.{callback[0]}", *folder]
        callbacks += [f"--trainer.callbacks.{option}" for option in callback[1:]]
        commands, run = start(verb, *callbacks, *options, ranks=ranks)
        commands = commands if isinstance(commands, list) else [commands]
        wait_for(tmp_path / "reached", *commands)
        return commands, run

    return begin


def end(commands, number, folder):
    """The signal for all, as a terminal and a cluster send it; then what was paused goes on."""
    for command in commands:
        command.send(number)
    (folder / "go").touch()
    return [command.wait() for command in commands]


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("workers", ["0", "1"])
@pytest.mark.parametrize("hook", ["on_before_optimizer_step", "on_validation_batch_start"])
def test_training_and_its_validation_end_with_all_steps_saved(
    start, paused, steps_saved, tmp_path, number, hook, workers
):
    data = ["--data.init_args.num_workers", workers]
    commands, run = paused("fit", ("PauseIn", f"hook={hook}"), *ENDLESS, *data)
    assert end(commands, number, tmp_path) == [SIGNALS[number]]
    steps = {"on_before_optimizer_step": 1, "on_validation_batch_start": 4}[hook]
    assert steps_saved(run) == steps
    said = commands[0].said()
    assert "--ckpt_path last" in said
    assert "Traceback" not in said
    command, _ = start("fit", "--ckpt_path", "last", "--trainer.max_steps", str(steps + 2))
    command.succeed()
    assert steps_saved(run) == steps + 2


STAGES = {"validate": "validation", "test": "test", "predict": "predict"}


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("verb", STAGES)
def test_validate_test_and_predict_end(paused, trained, tmp_path, verb, number):
    before = (trained / "metrics.csv").read_bytes()
    hook = f"hook=on_{STAGES[verb]}_batch_start"
    commands, _ = paused(verb, ("PauseIn", hook), "--ckpt_path", "best")
    assert end(commands, number, tmp_path) == [SIGNALS[number]]
    assert (trained / "metrics.csv").read_bytes() == before
    assert not list(trained.glob("predictions*"))
    assert "Traceback" not in commands[0].said()


@pytest.mark.parametrize("number", SIGNALS)
def test_two_ranks_end_while_the_first_clusters(paused, steps_saved, tmp_path, number):
    options = [*ENDLESS, "--callbacks.evaluation", "null"]
    commands, run = paused("fit", ("PauseInClustering",), *options, ranks=2)
    assert end(commands, number, tmp_path) == [SIGNALS[number]] * 2
    assert steps_saved(run) == 4
