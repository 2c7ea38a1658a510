"""`ranklight push` and `pull` against a hub on this machine; the card; what a pull refuses."""

import json
import shutil

import numpy as np
import pytest
import yaml

import ranklight
from ranklight.serving.exported.contract import hash_of, read_contract
from ranklight.serving.exported.folder import Wanted, export
from ranklight.serving.exported.model_card import card_of
from ranklight.serving.exported.trust import check_classes
from tests.serving import small_runs
from tests.serving.local_hub import local_hub, take_for_the_hub
from tests.serving.small_runs import METRIC, folder_data, pictures_for_training, train
from tests.trees import image_folder

OURS = {"README.md", "config.yaml", "contract.json", "model.safetensors"}
MODEL = "someone/birds"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    place = tmp_path_factory.mktemp("hub")
    data = folder_data(pictures_for_training(place / "data"))
    watched = {"evaluation": "ranklight.callbacks.VerificationEvaluation"}
    best = ("--best.monitor", "val/auc", "--test_after_fit", "true")
    return train(place, METRIC, data, *best, callbacks=watched)


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "model"
    export(ranklight.load(run, "cpu"), folder, Wanted())
    return folder


@pytest.fixture
def hub(monkeypatch):
    with local_hub(monkeypatch) as hub:
        yield hub


def refusal(capsys, *command):
    with pytest.raises(SystemExit) as ended:
        small_runs.ranklight(*command)
    assert ended.value.code == 2
    return capsys.readouterr().err


def push(run, *options, to=MODEL):
    small_runs.ranklight("push", run, to, "--licence", "cc-by-4.0", *options)


def pull(output, *options):
    small_runs.ranklight("pull", MODEL, "--output", output, *options)


def test_what_is_pushed_comes_back_and_embeds_alike(hub, run, tmp_path, capsys):
    push(run, "--private")
    assert f"{run} is at {hub.url}/{MODEL}" in "".join(capsys.readouterr().out.split("\n"))
    assert set(hub.files[MODEL]) == {".gitattributes", *OURS}
    assert hub.private[MODEL]
    pull(tmp_path / "model")
    assert {file.name for file in (tmp_path / "model").iterdir()} == OURS
    pulled, trained = ranklight.load(tmp_path / "model", "cpu"), ranklight.load(run, "cpu")
    image_folder(tmp_path, {"x": 3})
    assert np.array_equal(pulled.embed(tmp_path / "x"), trained.embed(tmp_path / "x"))
    assert pulled.similarity_threshold == trained.similarity_threshold


def test_a_model_on_the_hub_is_replaced_only_on_request_and_wholly(hub, run, exported, capsys):
    push(run, "--format", "torch")
    assert set(hub.files[MODEL]) == {".gitattributes", "model.pt2", *OURS}
    before = dict(hub.files[MODEL])
    refused = refusal(capsys, "push", exported, MODEL, "--licence", "mit")
    assert "is on the hub already" in refused
    assert hub.files[MODEL] == before
    push(exported, "--overwrite")
    assert set(hub.files[MODEL]) == {".gitattributes", *OURS}


def test_an_exported_folder_is_pushed_as_it_is_without_what_lies_beside(
    hub, exported, tmp_path, capsys
):
    shutil.copytree(exported, tmp_path / "m")
    (tmp_path / "m" / "passwords.txt").write_text("hunter2")
    command = ("push", tmp_path / "m", MODEL, "--licence", "mit")
    assert "is pushed as it is" in refusal(capsys, *command, "--decision", "top")
    push(tmp_path / "m")
    assert set(hub.files[MODEL]) == {".gitattributes", *OURS}
    for name in ("model.safetensors", "contract.json"):
        assert hub.files[MODEL][name] == (tmp_path / "m" / name).read_bytes()
    (tmp_path / "m" / "model.safetensors").write_bytes(b"other weights")
    assert "is not the file that was exported" in refusal(capsys, *command, "--overwrite")


def test_the_card_says_what_the_run_knows(hub, run, exported):
    push(exported)
    card = hub.files[MODEL]["README.md"].decode()
    front = yaml.safe_load(card.split("---")[1])
    assert front["license"] == "cc-by-4.0"
    assert front["library_name"] == "ranklight"
    fit, test = ranklight.load(run, "cpu").provenance["stages"]
    assert "Maps an image to a unit vector of 6 numbers" in card
    assert "| data | `ranklight.datamodules.ImageFolder` |" in card
    assert f"| split | `{fit['split_hash']}` |" in card
    scores = test["scores"]
    auc, low, high = (scores[f"test/tar@1e-1{end}"] for end in ("", "/low", "/high"))
    assert f"| test/tar@1e-1 | {auc:.4g} | {low:.4g} to {high:.4g} |" in card
    assert "/low |" not in card
    code = card.split("```")[1].splitlines()
    assert len(code) == 6
    assert f"ranklight pull {MODEL}" in code[1]
    compile("\n".join(code[1:]), "card", "exec")
    assert str(run.parent) not in card


def test_the_lines_of_the_card_run(hub, exported, tmp_path, monkeypatch):
    push(exported)
    pull(tmp_path / "model")
    image_folder(tmp_path, {"x": 2})
    for name, file in zip(
        ("one.jpg", "other.jpg"), sorted((tmp_path / "x").iterdir()), strict=True
    ):
        file.rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    said = {}
    exec(hub.files[MODEL]["README.md"].decode().split("```python")[1].split("```")[0], said)
    assert -1 <= said["similarity"] <= 1


CONTRACT = {
    "outputs": {"embeddings": {}, "scores": {"shape": ["batch", 7]}, "decided": {}},
    "embedding_size": 32,
    "normalised": False,
    "decision": "label_count",
    "similarity_threshold": 0.25,
    "files": {"model.onnx": ""},
    "provenance": {
        "data": "birds.Data",
        "run": "birds/one",
        "checkpoint": "best.ckpt",
        "step": 12,
        "stages": [
            {"stage": "fit", "outcome": "finished", "split_hash": "ab", "checkpoint": None}
            | {
                "seed": 3,
                "git": {"commit": "c0ffee", "dirty": True},
                "versions": {"torch": "2.11"},
            },
            {"stage": "test", "outcome": "finished", "checkpoint": "best.ckpt"}
            | {"scores": {"test/map": 0.5, "test/map/standard_error": 0.1, "test/nan": None}},
            {"stage": "test", "outcome": "finished", "checkpoint": "last.ckpt"}
            | {"scores": {"test/map": 0.9}},
            {"stage": "test", "outcome": "ValueError: no", "checkpoint": "best.ckpt"}
            | {"scores": {"test/map": 0.1}},
        ],
    },
}


def test_the_card_has_the_scores_of_the_checkpoint_and_what_else_it_answers():
    card = card_of(CONTRACT, MODEL, "mit")
    assert "| test/map | 0.5 | ± 0.2 |" in card
    assert "0.9" not in card
    assert "test/nan" not in card
    assert "scores 7 classes" in card
    assert 'labels = model.labels("one.jpg", "label_count")' in card
    assert "from a similarity of 0.250 on" in card
    assert "`c0ffee and changes that were not committed`" in card
    assert "`model.onnx` works without ranklight" in card
    untested = CONTRACT | {"provenance": CONTRACT["provenance"] | {"stages": []}}
    assert "No test of this checkpoint is recorded." in card_of(untested, MODEL, "mit")


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (("push", "RUN", "birds", "--licence", "mit"), "is named OWNER/NAME; got birds"),
        (("push", "RUN", MODEL), "--licence"),
        (("push", "RUN", MODEL, "--licence", "MIT License"), "--licence takes a short name"),
        (("push", "RUN", MODEL, "--licence", "mit", "--half"), "give --format, too"),
        (("push", "no/such/run", MODEL, "--licence", "mit"), "there is no no/such/run"),
        (("pull", "birds", "--output", "there"), "is named OWNER/NAME; got birds"),
        (("pull", "someone/nothing", "--output", "there"), "someone/nothing could not be pulled"),
        (("pull", MODEL, "--output", "."), "is there already"),
    ],
)
def test_bad_input_is_refused_and_nothing_is_made(
    command, sentence, hub, run, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert sentence in refusal(capsys, *(run if word == "RUN" else word for word in command))
    assert hub.files == {}
    assert not list(tmp_path.iterdir())


def test_a_hub_that_refuses_is_one_sentence(run, monkeypatch, capsys):
    with local_hub(monkeypatch, refuses=True):
        refused = refusal(capsys, "push", run, MODEL, "--licence", "mit")
    assert f"{MODEL} could not be pushed" in refused
    assert "hf auth login" in refused
    assert refused.count("\n") == 1


def test_a_hub_that_is_not_there_is_one_sentence(tmp_path, monkeypatch, capsys):
    take_for_the_hub(monkeypatch, "http://127.0.0.1:1")
    refused = refusal(capsys, "pull", MODEL, "--output", tmp_path / "m")
    assert f"{MODEL} could not be pulled" in refused
    assert not list(tmp_path.iterdir())


def test_what_ranklight_did_not_push_and_what_was_damaged_is_refused(
    hub, exported, tmp_path, capsys
):
    push(exported)
    whole = dict(hub.files[MODEL])
    hub.files[MODEL] = {"README.md": b"# another library", "model.safetensors": b"x"}
    refused = refusal(capsys, "pull", MODEL, "--output", tmp_path / "m")
    assert "is not what `ranklight push` uploads" in refused
    hub.files[MODEL] = whole | {"model.safetensors": whole["model.safetensors"] + b"x"}
    refused = refusal(capsys, "pull", MODEL, "--output", tmp_path / "m")
    assert "model.safetensors is not the file that was exported" in refused
    assert not list(tmp_path.iterdir())


def test_a_failed_pull_leaves_the_folder_that_was_there(hub, exported, tmp_path, capsys):
    push(exported)
    pull(tmp_path / "m")
    before = read_contract(tmp_path / "m")
    assert "is there already" in refusal(capsys, "pull", MODEL, "--output", tmp_path / "m")
    hub.files[MODEL]["config.yaml"] = b"model: {}"
    refusal(capsys, "pull", MODEL, "--output", tmp_path / "m", "--overwrite")
    assert read_contract(tmp_path / "m") == before
    assert [file.name for file in tmp_path.iterdir()] == ["m"]


def test_a_model_that_would_run_other_programs_is_taken_on_request_only(
    hub, exported, tmp_path, capsys
):
    push(exported)
    config = hub.files[MODEL]["config.yaml"]
    evil = config.replace(b"torchvision.transforms.v2.CenterCrop", b"shutil.rmtree")
    hub.files[MODEL]["config.yaml"] = evil
    (tmp_path / "config.yaml").write_bytes(evil)
    contract = json.loads(hub.files[MODEL]["contract.json"])
    contract["files"]["config.yaml"] = hash_of(tmp_path / "config.yaml")
    hub.files[MODEL]["contract.json"] = json.dumps(contract).encode()
    refused = refusal(capsys, "pull", MODEL, "--output", tmp_path / "m")
    assert "would import and call shutil.rmtree" in refused
    assert not (tmp_path / "m").exists()
    pull(tmp_path / "m", "--trust")
    assert (tmp_path / "m" / "config.yaml").read_bytes() == evil


def test_names_that_are_no_programs_are_not_taken_for_one():
    check_classes({"name": "vit_tiny.augreg", "weights": "alexnet-owt.pth", "n": [1, None]}, "x")
    with pytest.raises(ValueError, match=r"os\.system, subprocess\.run, which are not of"):
        check_classes({"a": ["os.system", {"class_path": "subprocess.run"}]}, "x")
