import multiprocessing
import os
import time

import pytest

from ranklight.running.run_directory import (
    claim,
    find_checkpoint,
    latest_run,
    mark_latest,
    new_run,
    release,
    run_of_checkpoint,
    run_of_config,
)


@pytest.fixture(autouse=True)
def _no_inherited_run(monkeypatch):
    monkeypatch.setenv("RANKLIGHT_RUN", "restored after the test")
    monkeypatch.delenv("RANKLIGHT_RUN")


def fresh_run(*args):
    os.environ.pop("RANKLIGHT_RUN", None)
    return new_run(*args)


def test_a_rank_finds_the_run_of_the_process_that_started_it(tmp_path):
    run = new_run(tmp_path, "digits/a")
    assert run.parent == tmp_path / "digits/a"
    assert new_run(tmp_path, "digits/a") == run


def test_two_runs_in_one_second_have_two_directories(tmp_path):
    runs = [fresh_run(tmp_path, "a") for _ in range(3)]
    assert len(set(runs)) == 3
    assert all(run.is_dir() for run in runs)


def test_a_name_is_given_once_something_was_saved_under_it(tmp_path):
    run = fresh_run(tmp_path, "a", "mine")
    mark_latest(run)
    assert fresh_run(tmp_path, "a", "mine") == run
    (run / "checkpoints").mkdir()
    (run / "checkpoints" / "last.ckpt").touch()
    with pytest.raises(FileExistsError, match="mine already"):
        fresh_run(tmp_path, "a", "mine")


def test_the_next_command_of_a_process_has_a_run_of_its_own(tmp_path):
    first = new_run(tmp_path, "a", "one")
    mark_latest(first)
    (first / "kept").touch()
    release(first)
    assert new_run(tmp_path, "a", "two") == tmp_path / "a" / "two"


def test_latest_follows_the_newest(tmp_path):
    for name in ("one", "two"):
        mark_latest(tmp_path / "a" / name)
    assert latest_run(tmp_path, "a").name == "two"


def test_no_run_yet(tmp_path):
    with pytest.raises(FileNotFoundError, match="no run of a under"):
        latest_run(tmp_path, "a")


def test_checkpoints_by_name(tmp_path):
    checkpoints = tmp_path / "run" / "checkpoints"
    checkpoints.mkdir(parents=True)
    (checkpoints / "last.ckpt").touch()
    assert find_checkpoint("last", tmp_path / "run") == checkpoints / "last.ckpt"
    with pytest.raises(FileNotFoundError, match=r"no checkpoint best\.ckpt; it has last\.ckpt"):
        find_checkpoint("best", tmp_path / "run")


def test_run_of_a_checkpoint(tmp_path):
    assert run_of_checkpoint(tmp_path / "run/checkpoints/best.ckpt") == tmp_path / "run"
    assert run_of_checkpoint(tmp_path / "weights.ckpt") is None


def test_the_run_of_a_config(tmp_path):
    (tmp_path / "config.yaml").touch()
    assert run_of_config(tmp_path / "config.yaml") is None
    (tmp_path / "checkpoints").mkdir()
    assert run_of_config(tmp_path / "config.yaml") == tmp_path
    assert run_of_config(tmp_path / "other.yaml") is None


def _start(root, name, go, answers):
    os.environ.pop("RANKLIGHT_RUN", None)
    go.wait()
    try:
        answers.put(("run", str(new_run(root, "a", name))))
    except OSError as error:
        answers.put(("refused", str(error)))
    time.sleep(600)


@pytest.fixture
def at_once(tmp_path):
    """Several processes that start a run at the same moment, and stay until they are ended."""
    context = multiprocessing.get_context("fork")
    go, answers = context.Event(), context.Queue()
    started = []

    def start(name, count=4):
        for _ in range(count):
            arguments = (tmp_path, name, go, answers)
            started.append(context.Process(target=_start, args=arguments))
            started[-1].start()
        go.set()
        return [answers.get(timeout=600) for _ in range(count)], started

    yield start
    for process in started:
        process.kill()
        process.join()


def test_starts_at_once_never_share_a_directory(at_once):
    answers, _ = at_once(None)
    assert {kind for kind, _ in answers} == {"run"}
    assert len(set(answers)) == 4


def test_one_name_at_once_is_one_run(at_once):
    answers, _ = at_once("mine")
    assert sorted(kind for kind, _ in answers) == ["refused"] * 3 + ["run"]
    assert all("writes into the run" in said for kind, said in answers if kind == "refused")


def test_a_run_that_was_killed_before_it_saved_may_be_started_again(at_once, tmp_path):
    _, (process,) = at_once("mine", count=1)
    with pytest.raises(FileExistsError, match=f"process {process.pid} on .* writes into the run"):
        fresh_run(tmp_path, "a", "mine")
    process.kill()
    process.join()
    assert fresh_run(tmp_path, "a", "mine") == tmp_path / "a" / "mine"


def test_a_run_in_which_nothing_was_written_leaves_nothing(tmp_path):
    run = fresh_run(tmp_path, "a")
    release(run)
    assert not run.exists()
    claim(mark := fresh_run(tmp_path, "a"))
    (mark / "metrics.csv").touch()
    release(mark)
    assert [path.name for path in mark.iterdir()] == ["metrics.csv"]


def test_tasks_of_an_array_and_their_steps_have_names_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_NTASKS", "2")
    monkeypatch.setenv("SLURM_JOB_ID", "8")
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "7")
    monkeypatch.setenv("SLURM_STEP_ID", "1")
    found = []
    for task, rank in ("0", "0"), ("0", "1"), ("1", "0"):
        monkeypatch.setenv("SLURM_ARRAY_TASK_ID", task)
        monkeypatch.setenv("SLURM_PROCID", rank)
        found.append(fresh_run(tmp_path, "a").name)
    assert found == ["slurm-7_0-1", "slurm-7_0-1", "slurm-7_1-1"]
