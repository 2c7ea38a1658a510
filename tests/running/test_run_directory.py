import os

import pytest

from ranklight.running.run_directory import (
    find_checkpoint,
    latest_run,
    mark_latest,
    new_run,
    run_of_checkpoint,
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
    first = fresh_run(tmp_path, "a")
    mark_latest(first)
    second = fresh_run(tmp_path, "a")
    assert first != second


def test_a_name_is_given_once_something_was_saved_under_it(tmp_path):
    run = fresh_run(tmp_path, "a", "mine")
    mark_latest(run)
    assert fresh_run(tmp_path, "a", "mine") == run
    (run / "checkpoints").mkdir()
    (run / "checkpoints" / "last.ckpt").touch()
    with pytest.raises(FileExistsError, match="mine already"):
        fresh_run(tmp_path, "a", "mine")


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
