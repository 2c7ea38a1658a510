"""`ranklight export` of runs of a second: the folder, contract and self-test, and back again."""

import errno
import json
import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors import safe_open

import ranklight
from ranklight.serving.exported.contract import read_contract
from ranklight.serving.exported.folder import Wanted, export
from ranklight.serving.exported.formats import TorchFormat
from ranklight.serving.exported.self_test import Example, compare_graph
from tests.serving import small_runs
from tests.serving.small_runs import METRIC, TWO_HEAD, folder_data, multi_label, train
from tests.trees import image_folder, image_table, picture

ROOT = Path(__file__).parents[2]


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


def test_a_folder_can_be_exported_again_and_the_lines_of_the_docs_run(
    place, exported, tmp_path, monkeypatch
):
    small_runs.ranklight("export", exported, "--format", "torch", "--output", place / "torch")
    again, before = contract(place / "torch"), contract(exported)
    assert again["provenance"] == before["provenance"]
    assert again["files"]["config.yaml"] == before["files"]["config.yaml"]
    shutil.copytree(exported, tmp_path / "model")
    shutil.copy(place / "torch" / "model.pt2", tmp_path / "model")
    picture(tmp_path / "one.jpg")
    monkeypatch.chdir(tmp_path)
    said, vectors = {}, []
    for block in (ROOT / "docs" / "export.md").read_text().split("```python")[1:]:
        exec(block.split("```")[0], said)
        vectors.append(np.asarray(said["embeddings"]))
    assert vectors[0].shape == (1, 6)
    np.testing.assert_allclose(*vectors, atol=1e-6)


def test_no_file_names_a_folder_of_the_machine(exported, place):
    for file in exported.iterdir():
        content = file.read_bytes()
        assert str(place).encode() not in content, file
        assert b"/serving/" not in content, file


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


def test_a_graph_that_answers_otherwise_is_not_kept(trained, tmp_path):
    with pytest.raises(ValueError, match=r"does not answer as the run does: embeddings differ by"):
        export(trained, tmp_path / "m", Wanted(Wrong()))
    assert not list(tmp_path.iterdir())


def example(**answers):
    count = len(answers["decided"])
    return Example(torch.zeros(count, 1, 2, 2, dtype=torch.uint8), True, "top", answers)


def saying(**answers):
    """A graph of these answers, a batch after another."""
    rows = {name: iter(values) for name, values in answers.items()}
    return lambda images: {
        name: np.stack([next(each) for _ in images]) for name, each in rows.items()
    }


def test_a_difference_is_the_largest_over_the_largest_and_of_sets_the_share_that_is_another():
    scores, decided = torch.tensor([[1.0, -4], [2, 3]] * 10), torch.eye(2).bool().repeat(10, 1)
    said, sets = scores.clone(), decided.clone()
    said[3, 0] += 0.02
    sets[7] = ~sets[7]
    expected = example(scores=scores, decided=decided)
    graph = saying(scores=said.numpy(), decided=sets.numpy())
    tested = compare_graph(graph, expected, tolerance=0.01)
    assert tested.differences == {"scores": pytest.approx(0.005), "decided": 0.05}
    assert tested.limits == {"scores": 0.01, "decided": 0.05}
    sets[8] = ~sets[8]
    with pytest.raises(ValueError, match=r"decided differ by 0\.1 on 20 pictures, where 0\.05"):
        compare_graph(saying(scores=said.numpy(), decided=sets.numpy()), expected, tolerance=0.01)
    compare_graph(saying(scores=said.numpy(), decided=sets.numpy()), expected, half=True)


def test_not_a_number_is_no_answer():
    expected = example(scores=torch.ones(2, 2), decided=torch.ones(2, 2).bool())
    graph = saying(scores=np.full((2, 2), np.nan), decided=np.ones((2, 2), bool))
    with pytest.raises(ValueError, match="scores differ by nan"):
        compare_graph(graph, expected, tolerance=1e9)


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
    (tmp_path / "m" / "model.onnx").touch()
    export(trained, tmp_path / "m", Wanted(), overwrite=True)
    assert not (tmp_path / "m" / "model.onnx").exists()
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
