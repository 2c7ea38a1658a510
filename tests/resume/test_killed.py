"""Runs that are killed at random go on without a trace: real processes, to the last bit."""

import os
import random
import shutil
import signal
import time

import pytest

KILLS = int(os.environ.get("RANKLIGHT_KILLS", "2"))
SEED = int(os.environ.get("RANKLIGHT_KILL_SEED", "0"))
ROWS = 50


@pytest.fixture(scope="module")
def fit(start_command, config):
    def start(runs, name, *options, ranks=1):
        options = ["--runs", str(runs), "--run", name, *options]
        if ranks > 1:
            options += ["--trainer.strategy", "ddp", "--trainer.devices", str(ranks)]
        return start_command("fit", "-c", str(config), *options, ranks=ranks)

    return start


@pytest.fixture(scope="module")
def whole(fit, memory_disk, ending, once):
    """What uninterrupted runs left, by the number of ranks."""

    def train(ranks):
        with memory_disk() as runs:
            for command in fit(runs, "whole", ranks=ranks):
                command.succeed()
            return ending(runs / "small" / "whole")

    return once(train)


def rows(run):
    path = run / "metrics.csv"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def wait_for_rows(commands, run, count):
    while rows(run) < count and all(command.running() for command in commands):
        time.sleep(0.002)


def has_checkpoint(run):
    return (run / "checkpoints" / "last.ckpt").exists()


def kill(command, commands):
    """Whether it was still there to kill; the ranks that it leaves behind end by themselves."""
    if not command.running():
        return False
    command.send(signal.SIGKILL)
    killed = command.wait() == -signal.SIGKILL
    for other in commands:
        other.wait()
    return killed


def on(run):
    return ["--ckpt_path", "last"] if has_checkpoint(run) else []


def workers(count):
    return ["--data.init_args.num_workers", str(count)]


@pytest.mark.parametrize(("ranks", "kills"), [(1, KILLS), (2, max(1, KILLS // 3))])
def test_killed_at_random_with_other_workers_every_time(
    fit, whole, folder, ending, assert_equal, ranks, kills
):
    draw, run = random.Random(SEED + ranks), folder / "small" / "killed"
    while kills:
        commands = fit(folder, "killed", *on(run), *workers(draw.choice([0, 2, 1])), ranks=ranks)
        wait_for_rows(commands, run, rows(run) + draw.randrange(1, ROWS // 3))
        time.sleep(draw.random() * 0.05)
        kills -= kill(draw.choice(commands), commands)
        if not any(command.wait() for command in commands):
            assert_equal(ending(run), whole(ranks))
            shutil.rmtree(run)
    for command in fit(folder, "killed", *on(run), *workers(0), ranks=ranks):
        command.succeed()
    assert_equal(ending(run), whole(ranks))


def test_one_of_two_ranks_gets_sigterm(fit, whole, folder, ending, assert_equal):
    run = folder / "small" / "two"
    commands = fit(folder, "two", *workers(2), ranks=2)
    wait_for_rows(commands, run, 10)
    commands[1].send(signal.SIGTERM)
    assert [command.wait() for command in commands] == [143, 143]
    assert "SIGTERM: saved" in commands[0].said()
    for command in fit(folder, "two", *on(run), *workers(1), ranks=2):
        command.succeed()
    assert_equal(ending(run), whole(2))


def test_sigterm_and_a_checkpoint_cut_off_later(fit, whole, folder, ending, assert_equal):
    run = folder / "small" / "ended"
    (command,) = fit(folder, "ended")
    wait_for_rows([command], run, 25)
    command.send(signal.SIGTERM)
    assert command.wait() == 143
    last = run / "checkpoints" / "last.ckpt"
    os.truncate(last, last.stat().st_size // 2)
    (command,) = fit(folder, "ended", *on(run))
    assert "last.ckpt is damaged; going on from" in command.succeed()
    assert_equal(ending(run), whole(1))
