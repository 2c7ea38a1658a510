"""Images that vanish and workers that are killed while a run goes on."""

import os
import re
import signal
import time

import pytest

from ranklight.datamodules import RegressionTable
from tests.faults.conftest import ENDLESS
from tests.trees import regression_table

WORKERS = "--data.init_args.num_workers"
SAVED = "checkpoints/last.ckpt"


def vanish(file):
    file.unlink()


def cut_off(file):
    os.truncate(file, file.stat().st_size // 2)


@pytest.mark.parametrize("workers", ["0", "2"])
@pytest.mark.parametrize(
    ("damage", "words"),
    [(vanish, "was there at the start and is gone"), (cut_off, "is not a readable image: ")],
)
def test_an_image_that_is_lost_is_named(
    start, images, wait_for, steps_saved, workers, damage, words
):
    command, run = start("fit", *ENDLESS, WORKERS, workers)
    wait_for(run / SAVED, command)
    file = images / "train" / "train b" / "1.png"
    damage(file)
    assert command.wait() > 0
    (sentence,) = [line for line in command.said().splitlines() if words in line][-1:]
    assert str(file) in sentence
    assert "Caught" not in sentence
    assert steps_saved(run) > 0


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_of_a_table_is_named_with_its_row(tmp_path, workers):
    regression_table(tmp_path)
    table = tmp_path / "table.csv"
    data = RegressionTable(
        str(table), ["age"], batch_size=12, anchors=12, neighbours=0, num_workers=workers
    )
    data.setup("fit")
    (tmp_path / "images" / "7.png").unlink()
    with pytest.raises(ValueError, match=f"^{table}, row 8: the image {tmp_path}/images/7.png was"):
        list(data.train_dataloader())


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="finds workers in /proc")
def test_a_worker_that_is_killed_ends_the_run_in_one_sentence(start, wait_for, steps_saved):
    command, run = start("fit", *ENDLESS, WORKERS, "1", "--trainer.limit_val_batches", "0")
    wait_for(run / SAVED, command)
    (worker,) = children(command.pid)
    os.kill(worker, signal.SIGKILL)
    assert command.wait() > 0
    named = (
        rf"a worker process that prepares batches (\(pid(\(s\))? {worker}\) )?was killed or crashed"
    )
    assert re.search(f"ChildProcessError: {named}|error: {named}", command.said())
    assert steps_saved(run) > 0


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="finds workers in /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_workers_leave_signals_to_the_run(start, wait_for, steps_saved, number):
    command, run = start("fit", *ENDLESS, WORKERS, "2", "--trainer.limit_val_batches", "0")
    wait_for(run / SAVED, command)
    for worker in children(command.pid):
        os.kill(worker, number)
    rows = (run / "metrics.csv").stat().st_size
    while (run / "metrics.csv").stat().st_size < rows + 1000:
        assert command.running(), command.said()
        time.sleep(0.005)
    command.send(signal.SIGTERM)
    assert command.wait() == 143
    assert steps_saved(run) > 0
