"""`ranklight export` of runs of a second: the folder, contract and self-test, and back again."""

import errno
import json

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors import safe_open

import ranklight
from ranklight.serving.exported.contract import read_contract
from ranklight.serving.exported.folder import Wanted, export
from ranklight.serving.exported.formats import TorchFormat
from tests.serving import small_runs
from tests.serving.small_runs import METRIC, TWO_HEAD, folder_data, multi_label, train
from tests.trees import image_folder, image_table


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("export")


@pytest.fixture(scope="module")
def data(place):
    return folder_data(small_runs.pictures_for_training(place / "data"))


@pytest.fixture(scope="module")
def run(place, data):
    watched = {"evaluation": "ranklight.callbacks.VerificationEvaluation"}
    return train(place / "metric", METRIC, data, "--best.monitor", "val/auc", callbacks=watched)


@pytest.fixture(scope="module")
def trained(run):
    return ranklight.load(run, "cpu")


@pytest.fixture(scope="module")
def exported(place, run):
    small_runs.ranklight("export", run, "--format", "onnx", "--output", place / "onnx")
    return place / "onnx"


def refusal(capsys, *command):
    with pytest.raises(SystemExit) as ended:
        small_runs.ranklight(*command)
    assert ended.value.code == 2
    return capsys.readouterr().err


def contract(folder):
    return json.loads((folder / "contract.json").read_text())


def test_the_folder_says_what_onnxruntime_needs_and_answers_as_the_run(exported, trained, tmp_path):
    image_folder(tmp_path, {"x": 3})
    said = contract(exported)
    pictures = torch.stack([trained.transform.read(file) for file in sorted(tmp_path.glob("x/*"))])
    assert said["input"] == {
        "name": "images",
        "type": "uint8",
        "range": [0, 255],
        "shape": ["batch", 3, 16, 16],
        "colour": "RGB",
        "transform": [str(step) for step in trained.transform.whole.transforms],
        "normalisation": "inside the graph",
    }
    assert said["outputs"] == {"embeddings": {"type": "float32", "shape": ["batch", 6]}}
    session = onnxruntime.InferenceSession(
        exported / "model.onnx", providers=["CPUExecutionProvider"]
    )
    (vectors,) = session.run(None, {said["input"]["name"]: pictures.numpy()})
    np.testing.assert_allclose(vectors, trained.embed(tmp_path / "x"), atol=1e-6)


def test_the_contract_tells_what_the_model_is(exported, trained):
    said = contract(exported)
    assert said["embedding_size"] == 6
    assert said["normalised"] is True
    assert said["class_names"] == ["a", "b", "c"]
    assert said["decision"] is None
    assert said["similarity_threshold"] == trained.similarity_threshold
    assert said["similarity_threshold"] is not None
    assert said["encoder"] == trained.encoder_hash
    assert set(said["files"]) == {"config.yaml", "model.onnx", "model.safetensors"}
    assert {file.name for file in exported.iterdir()} == {"contract.json", *said["files"]}
    tested = said["self_test"]
    assert (tested["pictures"], tested["drawn"], tested["precision"]) == (32, True, "float32")
    assert 0 <= tested["largest_difference"]["embeddings"] <= tested["allowed"]["embeddings"]
    (fit,) = said["provenance"]["stages"]
    assert fit["split_hash"]
    assert said["provenance"]["data"] == "ranklight.datamodules.ImageFolder"


def test_the_folder_is_loaded_as_the_run_is_without_the_data(exported, trained, tmp_path):
    again = ranklight.load(exported, "cpu")
    image_folder(tmp_path, {"x": 3})
    assert np.array_equal(again.embed(tmp_path), trained.embed(tmp_path))
    assert again.encoder_hash == trained.encoder_hash
    assert again.class_names == trained.class_names
    assert again.similarity_threshold == trained.similarity_threshold


def test_no_file_names_a_folder_of_the_machine(exported, place):
    for file in exported.iterdir():
        content = file.read_bytes()
        assert str(place).encode() not in content, file
        assert b"/serving/" not in content, file


def test_a_folder_can_be_exported_again_in_the_other_format(exported, place, trained):
    small_runs.ranklight("export", exported, "--format", "torch", "--output", place / "torch")
    said, before = contract(place / "torch"), contract(exported)
    assert said["provenance"] == before["provenance"]
    assert said["files"]["config.yaml"] == before["files"]["config.yaml"]
    pictures = torch.randint(256, (5, 3, 16, 16), dtype=torch.uint8)
    vectors = torch.export.load(place / "torch" / "model.pt2").module()(pictures)["embeddings"]
    torch.testing.assert_close(vectors, trained.encoder(pictures))


@pytest.fixture(scope="module")
def labels_run(place):
    image_table(place / "table")
    table = {
        "class_path": "ranklight.datamodules.ImageTable",
        "init_args": {
            "table": str(place / "table" / "table.csv"),
            "labels": {
                "class_path": "ranklight.datamodules.LabelSet",
                "init_args": {"column": "labels"},
            },
            "image_size": 16,
            "num_workers": 0,
            "batches": {
                "class_path": "ranklight.datamodules.ShuffledBatches",
                "init_args": {"batch_size": 8},
            },
        },
    }
    rules = multi_label("GlobalThreshold", "TopK")
    watched = {"evaluation": "ranklight.callbacks.LabelDecision"}
    return train(
        place / "labels", rules, table, "--best.monitor", "val/map_macro", callbacks=watched
    )


def test_a_multi_label_export_decides_by_the_named_rule(labels_run, place, tmp_path, capsys):
    command = ("export", labels_run, "--format", "torch", "--output")
    assert "no_such" in refusal(capsys, *command, tmp_path / "m", "--decision", "no_such")
    files = sorted((place / "table" / "images").iterdir())
    small_runs.ranklight(
        *command, tmp_path / "m", "--decision", "TopK", "--images", *files[:3], files[0].parent
    )
    said, trained = contract(tmp_path / "m"), ranklight.load(labels_run, "cpu")
    assert said["decision"] == "TopK"
    assert (said["self_test"]["pictures"], said["self_test"]["drawn"]) == (32, False)
    pictures = torch.stack([trained.transform.read(file) for file in files[:4]])
    decided = torch.export.load(tmp_path / "m" / "model.pt2").module()(pictures)["decided"]
    names = [[said["class_names"][k] for k in row.nonzero().flatten()] for row in decided]
    assert names == trained.labels(files[:4], "TopK")
    again = ranklight.load(tmp_path / "m", "cpu")
    for rule in ("TopK", "GlobalThreshold"):
        assert again.labels(files, rule) == trained.labels(files, rule)


def test_of_several_rules_none_decides_where_none_is_named(labels_run, tmp_path, capsys):
    small_runs.ranklight("export", labels_run, "--format", "torch", "--output", tmp_path / "m")
    assert "decided labels are left out: --decision chooses one of" in capsys.readouterr().out
    assert list(contract(tmp_path / "m")["outputs"]) == ["embeddings", "scores"]


def test_two_heads_give_probabilities_of_named_classes(place, data, tmp_path):
    run = train(place / "heads", TWO_HEAD, data, "--best.monitor", "val/accuracy")
    small_runs.ranklight("export", run, "--format", "torch", "--half", "--output", tmp_path / "m")
    said = contract(tmp_path / "m")
    assert said["outputs"]["scores"] == {"type": "float32", "shape": ["batch", 3]}
    assert said["self_test"]["precision"] == "float16"
    assert 0 < said["self_test"]["largest_difference"]["scores"] < 1e-2


class Wrong(TorchFormat):
    """A file whose network is a little off, as a faulty converter's."""

    def open(self, path):
        graph = super().open(path)
        return lambda images: {name: said + 0.01 for name, said in graph(images).items()}


class Fails(TorchFormat):
    """A disk that is full."""

    def write(self, program, outputs, path):
        raise OSError(errno.ENOSPC, "No space left on device")


class TakesNotANumber(TorchFormat):
    """A file whose network overflows."""

    def open(self, path):
        graph = super().open(path)
        return lambda images: {name: said * np.nan for name, said in graph(images).items()}


@pytest.mark.parametrize("kind", [Wrong(), TakesNotANumber()])
def test_a_graph_that_answers_otherwise_is_not_kept(kind, trained, tmp_path):
    with pytest.raises(ValueError, match=r"does not answer as the run does: embeddings differ by"):
        export(trained, tmp_path / "m", Wanted(kind))
    assert not list(tmp_path.iterdir())


def test_more_may_be_allowed(trained, tmp_path):
    export(trained, tmp_path / "m", Wanted(Wrong(), tolerance=0.1))
    assert contract(tmp_path / "m")["self_test"]["largest_difference"]["embeddings"] > 0.01


def test_what_is_there_is_replaced_only_on_request_and_stays_when_that_fails(
    exported, trained, tmp_path, capsys, run
):
    command = ("export", run, "--format", "onnx", "--output")
    before = contract(exported)
    assert "is there already" in refusal(capsys, *command, exported)
    with pytest.raises(OSError, match=r"could not be written \(No space left on device\)"):
        export(trained, exported, Wanted(Fails()), overwrite=True)
    assert contract(exported) == before
    assert read_contract(exported) == before
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "only_copy.tex").touch()
    refused = refusal(capsys, *command, tmp_path / "thesis", "--overwrite")
    assert "is not of `ranklight export` and is not replaced" in refused
    assert (tmp_path / "thesis" / "only_copy.tex").exists()
    export(trained, tmp_path / "m", Wanted())
    export(trained, tmp_path / "m", Wanted(TorchFormat()), overwrite=True)
    assert (tmp_path / "m" / "model.pt2").exists()
    assert {file.name for file in tmp_path.iterdir()} == {"m", "thesis"}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--tolerance", "0"], "--tolerance is a share above 0"),
        (["--decision", "top"], "top"),
        (["--images", "no/such/folder"], "no/such/folder"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(options, sentence, run, tmp_path, capsys):
    command = ("export", run, "--format", "torch", "--output", tmp_path / "m", *options)
    assert sentence in refusal(capsys, *command)
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_named_with_the_extra_that_brings_it(
    run, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(
        "ranklight.serving.exported.packages.find_spec", lambda name: None if name == "onnx" else 1
    )
    refused = refusal(capsys, "export", run, "--format", "onnx", "--output", tmp_path / "m")
    assert "ONNX needs onnx: pip install 'ranklight[export]'" in refused


def test_weights_are_those_of_the_run_without_what_only_training_needs(exported, trained):
    with safe_open(exported / "model.safetensors", "pt") as file:
        kept = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    assert {name.split(".")[0] for name in kept} == {"encoder"}
    for name, tensor in trained.encoder.state_dict().items():
        assert torch.equal(kept[f"encoder.{name}"], tensor)


def test_a_file_that_is_not_the_one_that_was_exported_is_named(trained, tmp_path):
    export(trained, tmp_path / "m", Wanted())
    with (tmp_path / "m" / "model.safetensors").open("ab") as file:
        file.write(b"!")
    with pytest.raises(ValueError, match=r"model\.safetensors is not the file that was exported"):
        read_contract(tmp_path / "m")
    (tmp_path / "m" / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"it has no model\.safetensors"):
        read_contract(tmp_path / "m")
