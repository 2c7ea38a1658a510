"""Command lines, right and wrong: how each ends, and the words that decide.

In this process. A row of command_lines.txt is
`words | code | decisive words`, in which capitals stand for the long keys below.
Runs `a` and `b` are fitted and tested; `open` was tested without training.
"""

import contextlib
import csv
import io
import json
import logging
import os
import shlex
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from ranklight.__main__ import main
from tests.commands.command_line import build_parsers_once
from tests.commands.small_run import CONFIG

DATA, MODEL = "--data.init_args", "--model.init_args"
TRUNK = f"{MODEL}.encoder.init_args.trunk"
LOSS = f"{MODEL}.objective.init_args.loss"
SCHEDULE = f"{MODEL}.lr_scheduler torch.optim.lr_scheduler"
STEPS = f"{MODEL}.lr_interval step --trainer.max_epochs 4"
A = "runs/small/a"


class Cli:
    """`cli(words)` is (code, what stdout and stderr said)."""

    def __init__(self, patch):
        self.patch = patch
        build_parsers_once(patch)
        patch.setenv("RANKLIGHT_RUN", "restored when the patch is undone")

    def __call__(self, words):
        arguments = shlex.split(words)
        os.environ.pop("RANKLIGHT_RUN", None)
        self.patch.setattr(sys, "argv", ["ranklight", *arguments])
        said = io.StringIO()
        logged = logging.StreamHandler(said)
        log = logging.getLogger("pytorch_lightning")
        log.addHandler(logged)
        try:
            with (
                contextlib.redirect_stdout(said),
                contextlib.redirect_stderr(said),
                warnings.catch_warnings(record=True) as warned,
            ):
                main()
            code = 0
        except SystemExit as ended:
            code = ended.code or 0
        finally:
            log.removeHandler(logged)
        return code, "\n".join([said.getvalue(), *(str(each.message) for each in warned)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("here")


@pytest.fixture(scope="module")
def cli(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run = Cli(patch)
        (folder / "small.yaml").write_text(CONFIG)
        (folder / "no.yaml").write_text("model: [")
        (folder / "list.yaml").write_text("- 1\n")
        (folder / "latin.yaml").write_bytes(b"model: \xe9\n")
        (folder / "watch_nothing.yaml").write_text("callbacks: {evaluation: null}\n")
        (folder / "file").touch()
        for number, name in enumerate("ab"):
            code, said = run(
                f"fit -c small.yaml --run {name} --seed_everything {number} --test_after_fit true"
            )
            assert code == 0, said
        code, said = run("test -c small.yaml --run open --allow_untrained true")
        assert code == 0, said
        yield run


ROWS = Path(__file__).with_name("command_lines.txt").read_text()


def rows():
    for line in ROWS.strip().splitlines():
        if line and not line.startswith("#"):
            words, code, decisive = line.split(" | ")
            for name, value in {
                "DATA.": f"{DATA}.",
                "MODEL.": f"{MODEL}.",
                "TRUNK": TRUNK,
                "LOSS": LOSS,
                "SCHEDULE": SCHEDULE,
                "STEPS": STEPS,
                "LR.": f"{MODEL}.lr_scheduler.init_args.",
                "WAIT.": "--trainer.callbacks+ pytorch_lightning.callbacks.",
                "WAITS_FOR": "--trainer.callbacks.monitor",
            }.items():
                words = words.replace(f" {name}", f" {value}")
            yield pytest.param(words, int(code), decisive, id=line.split(" | ")[0])


@pytest.mark.parametrize(("words", "code", "decisive"), rows())
def test_command_line(cli, words, code, decisive):
    ended, said = cli(words)
    assert decisive in said
    assert ended == code, said
    if code == 2 and "--debug" not in words:
        assert "Traceback" not in said


def test_there_are_enough_rows():
    assert len(list(rows())) >= 80


def test_what_a_redirected_fit_says(cli):
    _, said = cli("fit -c small.yaml --trainer.max_epochs 3")
    lines = said.splitlines()
    assert sum(line.startswith("epoch ") for line in lines) == 3
    assert "\x1b" not in said
    assert "train/loss" in next(line for line in lines if line.startswith("epoch 2, step 6"))


def test_the_best_is_the_best_however_many_are_kept(cli, folder):
    code, said = cli("fit -c small.yaml --run kept --trainer.max_epochs 5 --best.save_top_k 3")
    assert code == 0, said
    run = folder / "runs" / "small" / "kept"
    with (run / "metrics.csv").open() as file:
        scores = [float(row["val/recall@1"]) for row in csv.DictReader(file) if row["val/recall@1"]]
    best = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    assert best["global_step"] == 2 * (1 + scores.index(max(scores)))
    assert len(list((run / "checkpoints").glob("step-*.ckpt"))) == 3


def test_a_config_names_its_run_from_anywhere_and_the_next_command_asks_afresh(
    cli, folder, tmp_path, monkeypatch
):
    run = folder / "runs" / "small" / "a"
    before = {path: (run.parent / path / "run.json").read_text() for path in ("a", "b")}
    monkeypatch.chdir(tmp_path)
    code, said = cli(f"test -c {run}/config.yaml --ckpt_path best")
    assert code == 0, said
    assert (run / "run.json").read_text() != before["a"]
    assert (run.parent / "b" / "run.json").read_text() == before["b"]
    assert not list(tmp_path.iterdir())
    kept = (run / "config.yaml").read_text()
    assert not [name for name in ("ckpt_path", "\nrun:", "test_after_fit", "wandb") if name in kept]


def test_every_stage_is_recorded(cli, folder):
    stages = json.loads((folder / "runs/small/b/run.json").read_text())["stages"]
    assert [stage["stage"] for stage in stages[:2]] == ["fit", "test"]
    assert all(stage["outcome"] == "finished" for stage in stages)
    assert stages[1]["checkpoint"].endswith("b/checkpoints/best.ckpt")
    assert 0 <= stages[1]["scores"]["test/recall@1"] <= 1


def test_predictions_name_files_and_classes(cli, folder):
    code, said = cli(f"predict -c {folder}/runs/small/a/config.yaml --ckpt_path best")
    assert code == 0, said
    found = np.load(folder / "runs/small/a/predictions.npz")
    assert found["files"].tolist() == [f"{number}.png" for number in found["index"]]
    assert found["class_names"].tolist() == ["a", "b", "c", "d"]
