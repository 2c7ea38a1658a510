import json
import re
import sys
from pathlib import Path

import pytest
import torch

from ranklight.__main__ import main
from ranklight.running import MetricsFile
from tests.commands.command_line import build_parsers_once

QUICK = "experiments/digits/multi_similarity.yaml"
VALIDATED = ["--trainer.val_check_interval", "3", "--trainer.check_val_every_n_epoch", "1"]
LOGGED = [*VALIDATED, "--trainer.log_every_n_steps", "1"]
PLAIN = ["--model.init_args.lr_scheduler", "null"]
UNDRAWN = ["--callbacks.map", "null", "--callbacks.gallery", "null"]
UNDRAWN += ["--callbacks.baselines", "null"]
RATE = "--model.init_args.optimizer.init_args.lr"
SMALL = ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]


@pytest.fixture
def ranklight(tmp_path, monkeypatch):
    monkeypatch.setenv("RANKLIGHT_RUN", "restored after the test")
    monkeypatch.setenv("WANDB_MODE", "offline")
    build_parsers_once(monkeypatch)

    def run(command, *options, config=QUICK):
        monkeypatch.delenv("RANKLIGHT_RUN", raising=False)
        arguments = [command, "-c", config, "--runs", str(tmp_path / "runs"), *SMALL, *options]
        monkeypatch.setattr(sys, "argv", ["ranklight", *arguments])
        main()
        return tmp_path / "runs" / "digits" / "multi_similarity" / "latest"

    return run


def refusal(ranklight, capsys, *arguments):
    with pytest.raises(SystemExit) as stopped:
        ranklight(*arguments)
    assert stopped.value.code == 2
    return capsys.readouterr().err


def weights(run, name="last"):
    return torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True)


def test_fit_then_test_leaves_everything_in_one_directory(ranklight):
    few = ["--trainer.max_steps", "6", "--callbacks.map.init_args.points", "60"]
    run = ranklight("fit", "--test_after_fit", "true", *few, *LOGGED)
    files = {
        str(path.relative_to(run.resolve())) for path in run.resolve().rglob("*") if path.is_file()
    }
    # A second best leaves the first behind it.
    assert files - {"checkpoints/best.before.ckpt"} == {
        "config.yaml",
        "metrics.csv",
        "results.json",
        "run.json",
        *(f"scores/{stage}{of}.parquet" for stage in ("val", "test") for of in ("", "-classes")),
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
        "plots/curves.png",
        "plots/gallery.png",
        "plots/map.png",
    }
    results = json.loads((run / "results.json").read_text())
    assert list(results) == ["raw pixels", "untrained", "trained"]
    assert all({"recall@1", "map@r", "nmi"} <= set(row) for row in results.values())
    assert not any("/" in name for row in results.values() for name in row)
    header = (run / "metrics.csv").read_text().splitlines()[0]
    names = {"train/loss", "train/mined_fraction", "val/recall@1", "test/map@r"}
    assert {*names, "test/map@r/untrained", "test/nmi/raw_pixels"} <= set(header.split(","))


def test_test_finds_the_best_checkpoint_and_predict_writes_a_file(ranklight):
    run = ranklight("fit", "--trainer.max_steps", "3", *VALIDATED)
    tested = ranklight("test", "--ckpt_path", "best", *UNDRAWN)
    assert tested.resolve() == run.resolve()
    ranklight("predict", "--ckpt_path", "last")
    assert (run / "predictions.npz").is_file()


@pytest.mark.parametrize("command", ["test", "validate", "predict"])
def test_untrained_weights_are_not_scored_unasked(ranklight, capsys, command):
    assert f"{command} needs trained weights" in refusal(ranklight, capsys, command)


def test_untrained_weights_are_scored_when_asked(ranklight, tmp_path):
    ranklight("validate", "--allow_untrained", "true", "--run", "untrained", *UNDRAWN)
    run = tmp_path / "runs" / "digits" / "multi_similarity" / "untrained"
    assert (run / "config.yaml").is_file()
    assert not run.with_name("latest").exists()


def test_no_run_to_take_a_checkpoint_from(ranklight, capsys):
    assert "no run of digits/multi_similarity" in refusal(
        ranklight, capsys, "test", "--ckpt_path", "best"
    )


def test_lightnings_distributed_sampler_is_refused(ranklight, capsys):
    message = refusal(ranklight, capsys, "fit", "--trainer.use_distributed_sampler", "true")
    assert "use_distributed_sampler must be false" in message


@pytest.mark.parametrize(
    ("option", "value", "named"),
    [
        ("--trainer.max_stepz", "3", "max_stepz"),
        ("--model.init_args.encoder.init_args.embeding_dim", "3", "embeding_dim"),
        ("--data.init_args.sample_per_class", "3", "sample_per_class"),
    ],
)
def test_a_typo_stops_before_training(ranklight, capsys, tmp_path, option, value, named):
    assert named in refusal(ranklight, capsys, "fit", option, value)
    assert not (tmp_path / "runs").exists()


def test_a_typo_in_yaml_stops_before_training(ranklight, capsys, tmp_path):
    config = tmp_path / "typo.yaml"
    config.write_text(Path(QUICK).read_text().replace("embedding_dim", "embedding_dimm"))
    with pytest.raises(SystemExit):
        ranklight("fit", config=str(config))
    assert "embedding_dimm" in capsys.readouterr().err


def test_an_unknown_trunk_is_said_in_one_line(ranklight, capsys):
    trunk = "--model.init_args.encoder.init_args.trunk"
    message = refusal(
        ranklight,
        capsys,
        "fit",
        trunk,
        "ranklight.models.TorchvisionTrunk",
        f"{trunk}.name",
        "resnet-50",
    )
    assert "no trunk 'resnet-50'" in message


def test_a_checkpoint_of_another_architecture_is_refused(ranklight, capsys):
    ranklight("fit", "--trainer.max_steps", "2")
    width = "--model.init_args.encoder.init_args.embedding_dim"
    message = refusal(ranklight, capsys, "test", "--ckpt_path", "last", width, "64")
    assert re.search(r"another architecture.*projection\.weight is \[128", message)


def test_the_command_line_wins_over_the_checkpoint(ranklight):
    run = ranklight("fit", "--trainer.max_steps", "2", *PLAIN)
    ranklight("fit", "--ckpt_path", "last", "--trainer.max_steps", "3", RATE, "0.5", *PLAIN)
    (group,) = weights(run)["optimizer_states"][0]["param_groups"]
    assert group["lr"] == 0.5


def test_a_schedule_that_would_silently_stay_the_old_one_is_refused(ranklight, capsys):
    ranklight("fit", "--trainer.max_steps", "2")
    peak = "--model.init_args.lr_scheduler.init_args.max_lr"
    more = ["--ckpt_path", "last", "--trainer.max_steps", "3", peak, "0.1"]
    assert re.search(r"max_lr was 0\.001 .* is 0\.1", refusal(ranklight, capsys, "fit", *more))


def test_a_resumed_run_goes_on_in_its_directory(ranklight):
    run = ranklight("fit", "--trainer.max_steps", "2", "--trainer.log_every_n_steps", "1").resolve()
    again = ranklight(
        "fit", "--ckpt_path", "last", "--trainer.max_steps", "4", "--trainer.log_every_n_steps", "1"
    ).resolve()
    assert run == again
    assert weights(run)["global_step"] == 4
    steps = [int(row["step"]) for row in MetricsFile(run).rows() if row["train/loss"]]
    assert steps == [0, 1, 2, 3]


def test_wandb_keeps_one_identity_a_run(ranklight):
    run = ranklight("fit", "--trainer.max_steps", "2", "--wandb", "true")
    first = (run / "wandb_id").read_text()
    ranklight("fit", "--ckpt_path", "last", "--trainer.max_steps", "3", "--wandb", "true")
    assert (run / "wandb_id").read_text() == first
    assert {path.name.split("-")[-1] for path in (run / "wandb").glob("offline-run-*")} == {first}


def test_a_loss_that_is_not_finite_stops_training_and_keeps_the_last_checkpoint(ranklight, capsys):
    run = ranklight("fit", "--trainer.max_steps", "2", *PLAIN)
    before = weights(run)["state_dict"]
    more = ["--ckpt_path", "last", "--trainer.max_steps", "9", RATE, "1e30", *PLAIN]
    message = refusal(ranklight, capsys, "fit", *more)
    assert re.search(r"is not finite in epoch \d+, batch \d+ \(images", message)
    after = weights(run)["state_dict"]
    assert all(torch.equal(before[name], after[name]) for name in before)
