"""A study of real runs: killed in the middle of one, it goes on; and what it refuses first."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time

import pytest
import yaml

from ranklight.__main__ import main
from ranklight.studies.ledger import Ledger
from tests.commands.command_line import build_parsers_once
from tests.commands.small_run import CONFIG

LR = "model.init_args.optimizer.init_args.lr"
SPACE = {
    "space": {LR: {"low": 1.0e-4, "high": 1.0e-2, "log": True}},
    "arms": {
        "narrow": {"space": {"model.init_args.encoder.init_args.embedding_dim": {"choices": [4]}}}
    },
}
OPTIONS = ["-c", "base.yaml", "--space", "space.yaml", "--trials", "2", "--folds", "2"]
OPTIONS += ["--seeds", "2", "--study", "tiny"]


def write_files(folder):
    base = yaml.safe_load(CONFIG)
    base["data"] = {
        "class_path": "ranklight.datamodules.Digits",
        "init_args": {
            "classes_per_batch": 2,
            "samples_per_class": 4,
            "validation": "class_disjoint",
            "eval_batch_size": 600,
        },
    }
    base["trainer"] |= {"max_steps": 2, "max_epochs": 2, "limit_train_batches": 1}
    base["last"] = {"every_n_train_steps": 1}
    (folder / "base.yaml").write_text(yaml.safe_dump(base))
    (folder / "space.yaml").write_text(yaml.safe_dump(SPACE))


def in_this_process(words, log):
    """In place of a process of its own."""
    log.parent.mkdir(parents=True, exist_ok=True)
    said = io.StringIO()
    before = sys.argv
    sys.argv = ["ranklight", *words]
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            main()
    except SystemExit as ended:
        return ended.code or 0
    finally:
        sys.argv = before
        log.write_text(said.getvalue())
    return 0


@pytest.fixture
def study(tmp_path, monkeypatch, capsys):
    """`ranklight study` in this process; nothing in it may train."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ranklight.commands.study.run_apart", in_this_process)
    monkeypatch.setattr(signal, "signal", lambda *given: None)
    build_parsers_once(monkeypatch)
    write_files(tmp_path)

    def call(*more, space=None):
        if space is not None:
            (tmp_path / "space.yaml").write_text(yaml.safe_dump(space))
        monkeypatch.setattr(sys, "argv", ["ranklight", "study", *OPTIONS, *more])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 2
        assert not [*tmp_path.rglob("run.json")]
        return capsys.readouterr().err

    return call


def begin(folder):
    command = [sys.executable, "-m", "ranklight", "study", *OPTIONS]
    # A folder of Python's is on no path there but that of the tests.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def wait_for(file, process):
    for _ in range(60000):
        if file.exists():
            return
        assert process.poll() is None, process.stdout.read().decode()
        time.sleep(0.01)
    raise AssertionError(f"{file} did not come")


def fits(run):
    stages = json.loads((run / "run.json").read_text())["stages"]
    return [stage["outcome"] for stage in stages if stage["stage"] == "fit"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A study that was killed in the middle of the second fold of its first trial, and its end."""
    folder = tmp_path_factory.mktemp("study")
    write_files(folder)
    search = folder / "runs" / "studies" / "tiny" / "search" / "narrow"
    first = begin(folder)
    wait_for(search / "trial-0000" / "fold-1" / "checkpoints" / "last.ckpt", first)
    first.send_signal(signal.SIGKILL)
    first.wait()
    first.stdout.close()
    then = begin(folder)
    said, _ = then.communicate(timeout=900)
    assert then.returncode == 0, said.decode()
    return folder, search, said.decode()


def test_a_study_that_was_killed_goes_on_where_it_was(finished):
    _, search, _ = finished
    places = [search / f"trial-000{trial}" / f"fold-{fold}" for trial in (0, 1) for fold in (0, 1)]
    assert sorted(search.glob("trial-*/fold-*")) == places
    assert [fits(place)[-1] for place in places] == ["finished"] * 4
    # What was done is not done again; what was not, went on from its checkpoint.
    assert [len(fits(place)) for place in places] in ([1, 2, 1, 1], [1, 1, 1, 1])


def test_folds_and_seeds_are_those_that_were_asked_for(finished):
    folder, search, _ = finished
    configs = {file: yaml.safe_load(file.read_text()) for file in folder.rglob("config.yaml")}
    folds = {
        (file.parent.name, tuple(config["data"]["init_args"]["fold"]), config["seed_everything"])
        for file, config in configs.items()
        if search in file.parents
    }
    assert folds == {("fold-0", (0, 2), 0), ("fold-1", (1, 2), 0)}
    final = {
        (file.parent.name, config["data"]["init_args"]["fold"], config["seed_everything"])
        for file, config in configs.items()
        if search not in file.parents
    }
    assert final == {("seed-1", None, 1), ("seed-2", None, 2)}
    hashes = {
        json.loads((file.parent / "run.json").read_text())["stages"][0]["split_hash"]
        for file in configs
    }
    assert len(hashes) == 3


def test_test_is_opened_once_after_the_choice(finished):
    folder, search, _ = finished
    directory = folder / "runs" / "studies" / "tiny"
    lines = (directory / "ledger.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    assert [event["event"] for event in events] == [
        "started", "chosen", "test opened", "test closed"
    ]  # fmt: skip
    assert events[2]["tested_before"] == []
    assert not [file for file in search.rglob("run.json") if '"test"' in file.read_text()]
    chosen = events[1]["arms"]["narrow"]["setting"]
    of_final = yaml.safe_load((directory / "final/narrow/seed-1/config.yaml").read_text())
    assert of_final["model"]["init_args"]["optimizer"]["init_args"]["lr"] == chosen[LR]


def test_the_table_has_the_mean_of_the_tested_seeds(finished):
    folder, _, said = finished
    directory = folder / "runs" / "studies" / "tiny"
    (closed,) = Ledger(directory / "ledger.jsonl").events("test closed")
    scores = [of["test/map@r"] for of in closed["scores"]["narrow"].values()]
    table = (directory / "results.md").read_text()
    assert f"{sum(scores) / 2:.3f} ± " in table
    assert "narrow" in said
    assert (directory / "best_of_n.png").read_bytes().startswith(b"\x89PNG")
    assert (directory / "best_of_n.csv").read_text().count("narrow,") == 2


def test_again_it_prints_its_table_and_does_nothing(finished, monkeypatch, capsys):
    folder, _, _ = finished
    monkeypatch.chdir(folder)
    monkeypatch.setattr("ranklight.commands.study.run_apart", None)
    monkeypatch.setattr(signal, "signal", lambda *given: None)
    monkeypatch.setattr(sys, "argv", ["ranklight", "study", *OPTIONS])
    before = {file: file.read_bytes() for file in folder.rglob("ledger.jsonl")}
    main()
    assert "narrow" in capsys.readouterr().out
    assert {file: file.read_bytes() for file in before} == before
    monkeypatch.setattr(sys, "argv", ["ranklight", "study", *OPTIONS, "--trials", "3"])
    with pytest.raises(SystemExit):
        main()
    assert "was started with trials 2, this command has 3" in capsys.readouterr().err


def test_a_key_that_no_class_of_the_yaml_has_is_refused_before_training(study):
    said = study(space={"space": {"model.init_args.encoder.init_args.dim": {"choices": [3]}}})
    assert "the arm all cannot be built: " in said
    assert "dim" in said
    assert said.count("\n") == 1


def test_a_choice_that_cannot_be_is_refused_before_training(study):
    key = "model.init_args.encoder.init_args.embedding_dim"
    said = study(space={"space": {key: {"choices": [4, "many"]}}})
    assert "the arm all cannot be built: " in said
    assert "many" in said


def test_data_without_folds_is_refused_before_training(study):
    said = study("--data", "ranklight.datamodules.DigitPoses")
    assert "--folds 2 needs a data module with the key fold: give --folds 1" in said


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--trials", "0"], "--trials must be 1 or more; got 0"),
        (["--metric", "test/map@r"], "--metric must be a score of validation"),
        (["--seed_everything", "3"], "--seed_everything is set by the study itself"),
        (["--space", "nowhere.yaml"], "nowhere.yaml"),
        (["-c", "nowhere.yaml"], "there is no recipe nowhere.yaml"),
        (["--trails", "3"], "trails"),
        (["--metric", "val/"], "--metric must be a score of validation"),
        (["--study", "../x"], "--study needs the name of one directory; got '../x'"),
        (["--study", ".."], "--study needs the name of one directory"),
        (["--runs", __file__], "is a file: name a folder"),
    ],
)
def test_bad_options_are_refused_before_training(study, more, words):
    assert words in study(*more)


def test_an_empty_range_is_refused_before_training(study):
    assert f"{LR} is empty: low 2 must be below high 1" in study(
        space={"space": {LR: {"low": 2, "high": 1}}}
    )
