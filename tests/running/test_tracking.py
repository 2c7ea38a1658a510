"""What is written for Weights & Biases offline is what its own reader finds there."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import wandb
import yaml
from PIL import Image
from pyarrow import parquet

from ranklight.__main__ import main
from ranklight.datamodules import split_hash
from tests.commands.command_line import build_parsers_once
from tests.commands.small_run import CONFIG


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of three steps on digits, validated twice and tested, with a gallery."""
    folder = tmp_path_factory.mktemp("wandb")
    config = yaml.safe_load(CONFIG)
    config["data"] = {
        "class_path": "ranklight.datamodules.Digits",
        "init_args": {"classes_per_batch": 2, "samples_per_class": 4, "fold": [1, 2]},
    }
    config["trainer"] |= {"max_steps": 2, "limit_train_batches": 1, "max_epochs": 2}
    config["callbacks"]["gallery"] = {
        "class_path": "ranklight.callbacks.Gallery",
        "init_args": {"queries": 3, "neighbours": 2},
    }
    (folder / "tracked.yaml").write_text(yaml.safe_dump(config))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "offline")
        patch.setenv("WANDB_SILENT", "true")
        patch.setenv("WANDB_DATA_DIR", str(folder))
        patch.setenv("WANDB_CACHE_DIR", str(folder))
        patch.setenv("RANKLIGHT_RUN", "restored when the patch is undone")
        patch.delenv("RANKLIGHT_RUN")
        build_parsers_once(patch)
        words = ["-c", str(folder / "tracked.yaml"), "--runs", str(folder / "runs")]
        words += ["--run", "one", "--wandb", "true", "--test_after_fit", "true"]
        patch.setattr(sys, "argv", ["ranklight", "fit", *words, "--seed_everything", "7"])
        main()
    wandb.finish()
    return folder / "runs" / "tracked" / "one"


@pytest.fixture(scope="module")
def records(run):
    """The records of its log, as `wandb leet inspect` reads them."""
    (log,) = run.glob("wandb/offline-run-*/run-*.wandb")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(log)]
    read = subprocess.run(
        command, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL
    )
    return [json.loads(line) for line in read.stdout.splitlines()]


@pytest.fixture(scope="module")
def summary(records):
    found = {}
    for record in records:
        found |= record["summary"]["update"] if record["type"] == "summary" else {}
    return found


def test_runs_of_an_experiment_are_a_group_with_seed_fold_and_split(run, records):
    begun = [record["run"] for record in records if record["type"] == "run"]
    assert {of["run_group"] for of in begun} == {"tracked"}
    config = {}
    for record in records:
        config |= record["config"]["update"] if record["type"] == "config" else {}
    assert config["seed_everything"] == 7
    assert config["data"]["init_args"]["fold"] == [1, 2]
    (recorded, *_) = json.loads((run / "run.json").read_text())["stages"]
    assert config["split_hash"] == recorded["split_hash"]


def test_scores_of_training_are_summed_up_in_their_direction(records, summary):
    defined = {
        record["metric"].get("name"): record["metric"].get("summary")
        for record in records
        if record["type"] == "metric"
    }
    assert defined["val/map@r"] == {"max": True, "last": True}
    assert defined["train/loss"] == {"min": True, "last": True}
    logged = [
        record["history"]["item"]["val/map@r"]
        for record in records
        if record["type"] == "history" and "val/map@r" in record["history"]["item"]
    ]
    assert len(logged) == 2
    assert summary["val/map@r"] == {"max": max(logged), "last": logged[-1]}


def test_scores_of_test_are_those_of_the_run(run, summary):
    *_, tested = json.loads((run / "run.json").read_text())["stages"]
    assert summary["test/map@r"] == pytest.approx(tested["scores"]["test/map@r"])


def table(run, summary, name):
    (folder,) = run.glob("wandb/offline-run-*/files")
    assert summary[f"{name}._type"] == "table-file"
    return json.loads((folder / summary[f"{name}.path"]).read_text())


def test_every_query_is_a_row_of_a_table(run, summary):
    read = table(run, summary, "scores/test")
    written = parquet.read_table(run / "scores" / "test.parquet")
    assert read["columns"] == written.column_names
    assert read["data"][3] == pytest.approx([column[3].as_py() for column in written.columns])
    assert len(read["data"]) == len(written)


def artifacts(records):
    """Of each the type, its metadata, and its files by name."""
    found = [record["artifact"] for record in records if record["type"] == "artifact"]
    return [
        (
            of["type"],
            json.loads(of.get("metadata", "{}")),
            {entry["path"]: Path(entry["local_path"]) for entry in of["manifest"]["contents"]},
        )
        for of in found
    ]


def test_the_gallery_is_a_table_of_pictures(run, summary, records):
    read = table(run, summary, "gallery/found")
    assert read["columns"] == ["query", "names", "relevant", "1", "2"]
    assert len(read["data"]) == 3
    assert all(0 <= relevant <= 2 for _, _, relevant, *_ in read["data"])
    assert [names.split()[0] for _, names, *_ in read["data"]] == ["class"] * 3
    (files,) = [of for _, _, of in artifacts(records) if "gallery/found.table.json" in of]
    pictures = [file for name, file in files.items() if name.endswith(".png")]
    assert 3 <= len(pictures) <= 9
    for picture in pictures:
        with Image.open(picture) as shown:
            assert shown.size == (32, 32)


def test_the_artifact_holds_checkpoint_and_split(run, records):
    (model,) = [of for of in artifacts(records) if of[0] == "model"]
    _, metadata, files = model
    assert files.keys() == {"best.ckpt", "config.yaml", "run.json", "split.json"}
    (recorded, *_) = json.loads((run / "run.json").read_text())["stages"]
    assert metadata == {"run": "one", "split_hash": recorded["split_hash"]}
    assert files["best.ckpt"].read_bytes() == (run / "checkpoints" / "best.ckpt").read_bytes()
    split = json.loads(files["split.json"].read_text())
    assert split_hash(*split.values()) == recorded["split_hash"]
