"""Disks that are full or may not be written to, and two runs at once."""

import os
from contextlib import contextmanager, nullcontext, suppress

import pytest

from tests.faults.conftest import ENDLESS

SAVED = "checkpoints/last.ckpt"
FULL_DISK = "/dev/full"
FILES = {
    SAVED: "checkpoints/last.part",
    "metrics.csv": "metrics.csv.part",
    "config.yaml": "config.yaml.part",
    "plots/curves.png": "plots/curves.png.part",
}
"""What a run writes, by where it writes it first."""


@pytest.mark.skipif(not os.path.exists(FULL_DISK), reason="only Linux has a device that is full")
@pytest.mark.parametrize("file", FILES)
def test_a_file_for_which_there_is_no_room_is_named(start, trained, steps_saved, file):
    if file == "metrics.csv":  # Without the rows of before, so that all are written anew.
        (trained / file).unlink()
    before = (trained / SAVED).read_bytes()
    (trained / FILES[file]).symlink_to(FULL_DISK)
    command, _ = start("fit", "--ckpt_path", "last", "--trainer.max_steps", "12")
    assert command.wait() > 0
    assert f"{trained / file} could not be written" in command.said()
    assert not (trained / FILES[file]).is_symlink()
    if file == "plots/curves.png":
        assert steps_saved(trained) == 12
    else:
        assert (trained / SAVED).read_bytes() == before


def fill(file):
    with suppress(OSError), file.open("wb", buffering=0) as other:
        while True:
            other.write(bytes(1024))


def test_a_run_whose_disk_fills_up_goes_on_when_there_is_room(
    start, mounted, wait_for, steps_saved
):
    with mounted("size=1m") as disk:
        command, run = start("fit", *ENDLESS, runs=disk)
        wait_for(run / SAVED, command)
        fill(disk / "else")
        assert command.wait() > 0
        assert f"{run}/" in command.said()
        assert "could not be written" in command.said()
        before = steps_saved(run)
        (disk / "else").unlink()
        until = ["--trainer.max_steps", str(before + 4)]
        command, _ = start("fit", *ENDLESS, *until, "--ckpt_path", "last", runs=disk)
        command.succeed()
        assert steps_saved(run) == before + 4


@pytest.fixture
def read_only(mounted, tmp_path):
    @contextmanager
    def closed():
        (tmp_path / "closed").mkdir()
        (tmp_path / "closed").chmod(0o500)
        # No permission holds for root.
        with nullcontext(tmp_path / "closed") if os.getuid() else mounted("ro") as folder:
            yield folder

    return closed


def test_a_directory_of_runs_that_is_read_only_is_named(start, read_only):
    with read_only() as runs:
        command, _ = start("fit", runs=runs)
        assert command.wait() > 0
        assert str(runs) in command.said().splitlines()[-1]


def test_two_runs_at_once_of_different_names_both_end_well(start, steps_saved):
    both = [start("fit", name=name) for name in ("one", "other")]
    for command, run in both:
        command.succeed()
        assert steps_saved(run) == 8
        assert (run.parent / "latest").resolve().name in ("one", "other")


def test_of_two_runs_at_once_of_one_name_the_second_is_refused(
    start, wait_for, steps_saved, tmp_path
):
    pause = ["--trainer.callbacks+", "tests.faults.pausing.PauseIn"]
    pause += ["--trainer.callbacks.hook", "on_train_start"]
    pause += ["--trainer.callbacks.folder", str(tmp_path)]
    first, run = start("fit", *pause)
    wait_for(tmp_path / "reached", first)
    second, _ = start("fit")
    assert second.wait() == 2
    assert f"{run}" in second.said().splitlines()[-1]
    (tmp_path / "go").touch()
    first.succeed()
    assert steps_saved(run) == 8
