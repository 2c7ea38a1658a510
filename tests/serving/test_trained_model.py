import shutil

import numpy as np
import pytest
import torch
from PIL import Image

import ranklight
from ranklight.callbacks import VerificationEvaluation
from ranklight.serving.stored import read_stored, write_stored
from tests.serving.small_runs import (
    METRIC,
    TWO_HEAD,
    folder_data,
    multi_label,
    pictures_for_training,
    train,
)
from tests.trees import image_folder, image_table

VERIFICATION = {"evaluation": "ranklight.callbacks.VerificationEvaluation"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def data(folder):
    return folder_data(pictures_for_training(folder / "data"))


@pytest.fixture(scope="module")
def run(folder, data):
    return train(
        folder / "metric", METRIC, data, "--best.monitor", "val/auc", callbacks=VERIFICATION
    )


@pytest.fixture(scope="module")
def two_head_run(folder, data):
    return train(folder / "two_head", TWO_HEAD, data, "--best.monitor", "val/accuracy")


@pytest.fixture(scope="module")
def labels_run(folder):
    image_table(folder / "table")
    table = {
        "class_path": "ranklight.datamodules.ImageTable",
        "init_args": {
            "table": str(folder / "table" / "table.csv"),
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
    decision = {"evaluation": "ranklight.callbacks.LabelDecision"}
    return train(
        folder / "labels", rules, table, "--best.monitor", "val/map_macro", callbacks=decision
    )


@pytest.fixture(scope="module")
def pictures(folder):
    image_folder(folder / "new", {"x": 3, "x/deeper": 2, "y": 2})
    return folder / "new"


def checkpoint(run, name="last"):
    return run / "checkpoints" / f"{name}.ckpt"


def seen_by(data_module, files):
    """Pictures as the run's own data module shows them in evaluation."""
    split = data_module.pictures(
        files, torch.zeros(len(files)), [np.arange(0), np.arange(len(files))]
    )
    return split[1].__getitems__(list(range(len(files)))).images


def test_embeddings_are_those_of_the_run_s_own_module_and_data(run, pictures):
    from ranklight.datamodules import ImageFolder
    from ranklight.models import Encoder, SmallConvNet

    own = Encoder(SmallConvNet(3, 8), 6)
    weights = torch.load(checkpoint(run), weights_only=True)["state_dict"]
    own.load_state_dict(
        {name.removeprefix("encoder."): weights[name] for name in weights if "encoder." in name}
    )
    files = sorted(pictures.rglob("*.png"))
    with torch.no_grad():
        expected = own.eval()(seen_by(ImageFolder("nowhere", image_size=16, resize=20), files))
    model = ranklight.load(run, "cpu")
    assert (model.embedding_size, model.normalised, model.num_classes) == (6, True, 0)
    np.testing.assert_allclose(model.embed(pictures), expected, atol=1e-6)


@pytest.fixture(scope="module")
def model(run):
    return ranklight.load(run, "cpu")


def test_an_image_is_the_same_however_it_is_given(model, pictures):
    files = sorted(pictures.rglob("*.png"))
    arrays = [np.asarray(Image.open(file)) for file in files]
    tensors = torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2)
    expected = model.embed([str(file) for file in files])
    assert expected.shape == (7, 6)
    assert expected.dtype == np.float32
    for images in (
        pictures,
        files,
        [Image.open(file) for file in files],
        arrays,
        np.stack(arrays),
        tensors,
        tensors / 255,
        [files[0], arrays[1], tensors[2:4], *map(Image.open, files[4:])],
    ):
        np.testing.assert_allclose(model.embed(images, batch_size=3), expected, atol=1e-6)
    np.testing.assert_allclose(model.embed(files[0]), expected[:1], atol=1e-6)


def test_grey_transparent_and_turned_pictures_are_looked_at_as_files_are(model, tmp_path):
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 256, (30, 40, 4), np.uint8)
    grey = Image.fromarray(pixels[..., 0])
    exif = Image.Exif()
    exif[0x0112] = 6
    grey.save(tmp_path / "turned.png", exif=exif)
    Image.fromarray(pixels).save(tmp_path / "transparent.png")
    for name in ("turned.png", "transparent.png"):
        with Image.open(tmp_path / name) as image:
            np.testing.assert_array_equal(model.embed(image), model.embed(tmp_path / name))
    np.testing.assert_array_equal(model.embed(pixels[..., 0]), model.embed(grey))


@pytest.mark.parametrize(
    ("images", "kind", "words"),
    [
        ("no/such/image.png", FileNotFoundError, "there is no image or folder no/such/image.png"),
        (3, TypeError, "got int"),
        (np.zeros((4, 5, 2), np.uint8), ValueError, r"got \[2, 4, 5\]"),
        (np.full((4, 5, 3), 255.0), ValueError, "255..255"),
        (np.zeros((4, 5, 3), np.uint16), ValueError, "uint16"),
        (torch.zeros(3, 4, 5, dtype=torch.int64), ValueError, "torch.int64"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_what_is_no_image_is_refused(model, images, kind, words):
    with pytest.raises(kind, match=words):
        model.embed(images)


def test_a_broken_file_is_named(model, pictures, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"broken\.png is not a readable image"):
        model.embed([*pictures.rglob("*.png"), tmp_path / "broken.png"])


def test_the_threshold_is_the_one_that_validation_fitted(run, model):
    callbacks = torch.load(checkpoint(run), weights_only=True)["callbacks"]
    (squared,) = callbacks[VerificationEvaluation().state_key]["thresholds"].values()
    assert model.similarity_threshold == pytest.approx(1 - squared / 2)
    assert model.class_names == ["a", "b", "c"]
    assert model.provenance["run"] == "small/one"
    assert model.provenance["step"] == 2
    assert [record["stage"] for record in model.provenance["stages"]] == ["fit"]


def test_a_run_a_checkpoint_and_an_export_are_the_same_model(run, model, pictures, tmp_path):
    write_stored(read_stored(run), tmp_path)
    (tmp_path / "contract.json").write_text("{}")
    (run.parent / "latest").unlink(missing_ok=True)
    (run.parent / "latest").symlink_to("one")
    for path in (run.parent / "latest", run.parent, checkpoint(run), tmp_path):
        same = ranklight.load(path, "cpu")
        assert same.encoder_hash == model.encoder_hash
        assert same.class_names == model.class_names
        assert same.similarity_threshold == model.similarity_threshold
        np.testing.assert_array_equal(same.embed(pictures), model.embed(pictures))


def test_neither_random_numbers_nor_the_data_are_touched(run, data, tmp_path):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    moved = shutil.move(data["init_args"]["root"], tmp_path)
    try:
        ranklight.load(run, "cpu")
    finally:
        shutil.move(moved, data["init_args"]["root"])
    assert torch.equal(torch.get_rng_state(), before)


def test_two_heads_say_the_likeliest_class(two_head_run, pictures):
    model = ranklight.load(two_head_run, "cpu")
    assert (model.num_classes, model.embedding_size) == (3, 5)
    scores = model.scores(pictures)
    np.testing.assert_allclose(scores.sum(1), 1, rtol=1e-5)
    names = np.array(model.class_names)
    assert model.labels(pictures) == [[name] for name in names[scores.argmax(1)]]
    with torch.no_grad():
        images = torch.stack(
            [model.transform.read(file) for file in sorted(pictures.rglob("*.png"))]
        )
        np.testing.assert_allclose(model.encoder(images), model.embed(pictures), atol=1e-6)


def test_labels_are_those_of_the_stored_decision(labels_run, pictures):
    model = ranklight.load(labels_run, "cpu")
    assert model.decisions == ["GlobalThreshold", "TopK"]
    stored = torch.load(checkpoint(labels_run, "best"), weights_only=True)["state_dict"]
    threshold = stored["decisions.GlobalThreshold.threshold"].item()
    scores = model.scores(pictures)
    assert scores.shape == (7, model.num_classes) == (7, len(model.class_names))
    expected = [
        [name for name, score in zip(model.class_names, row, strict=True) if score > threshold]
        for row in scores
    ]
    assert model.labels(pictures, "GlobalThreshold") == expected
    with pytest.raises(ValueError, match="GlobalThreshold, TopK; got None"):
        model.labels(pictures)


def test_without_classes_there_are_no_scores(model, pictures):
    with pytest.raises(TypeError, match="gives embeddings alone"):
        model.scores(pictures)


def test_batches_are_halved_until_they_fit(model, pictures, monkeypatch):
    expected, sizes = model.embed(pictures), []
    whole = model._answering

    def small(given, decision):
        sizes.append(len(given))
        if len(given) > 2:
            raise torch.OutOfMemoryError("out of memory")
        return whole(given, decision)

    monkeypatch.setattr(model, "_answering", small)
    np.testing.assert_allclose(model.embed(pictures), expected, atol=1e-6)
    assert sizes == [7, 4, 2, 2, 3, 2, 1]


def changed(run, folder, **changes):
    """The run's checkpoint with other content."""
    content = torch.load(checkpoint(run), weights_only=True)
    torch.save(content | changes, folder / "changed.ckpt")
    return folder / "changed.ckpt"


def test_averaged_weights_are_the_ones_that_are_used(run, model, tmp_path):
    content = torch.load(checkpoint(run), weights_only=True)["state_dict"]
    training = {name: torch.zeros_like(tensor) for name, tensor in content.items()}
    averaged = changed(run, tmp_path, training_weights=training)
    assert ranklight.load(averaged, "cpu").encoder_hash == model.encoder_hash


def test_pretrained_weights_are_not_fetched_but_normalise_as_in_training(run, tmp_path):
    content = torch.load(checkpoint(run), weights_only=True)
    trunk = {
        "class_path": "ranklight.models.TorchvisionTrunk",
        "init_args": {"name": "squeezenet1_1", "weights": "no/such/weights.pth"},
    }
    own = ranklight.models.Encoder(ranklight.models.TorchvisionTrunk("squeezenet1_1"), 6)
    content["config"]["model"]["init_args"]["encoder"]["init_args"]["trunk"] = trunk
    content["state_dict"] = {f"encoder.{name}": each for name, each in own.state_dict().items()}
    content["seen_data"]["picture_shape"] = [3, 32, 32]
    content["seen_data"]["normalisation"] = {"encoder.inputs": [[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]]}
    content["config"]["data"]["init_args"] |= {"image_size": 32, "resize": 32}
    torch.save(content, tmp_path / "pretrained.ckpt")
    inputs = ranklight.load(tmp_path / "pretrained.ckpt", "cpu").encoder.inputs
    assert inputs.mean.flatten().tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert inputs.std.flatten().tolist() == pytest.approx([0.4, 0.5, 0.6])


def test_another_architecture_is_refused(run, tmp_path):
    weights = torch.load(checkpoint(run), weights_only=True)["state_dict"]
    weights["encoder.projection.weight"] = torch.zeros(7, 32)
    with pytest.raises(ValueError, match=r"projection.weight is \[7, 32\], needed is \[6, 32\]"):
        ranklight.load(changed(run, tmp_path, state_dict=weights))


def test_a_part_that_is_not_there_is_named(run, tmp_path):
    content = torch.load(checkpoint(run), weights_only=True)["config"]
    content["model"]["init_args"]["encoder"]["class_path"] = "my_models.Encoder"
    with pytest.raises(ValueError, match=r"cannot be built here.*my_models"):
        ranklight.load(changed(run, tmp_path, config=content))


def test_a_view_of_another_size_than_training_s_is_refused(run, tmp_path):
    content = torch.load(checkpoint(run), weights_only=True)["config"]
    content["data"]["init_args"] |= {"image_size": 20}
    with pytest.raises(ValueError, match=r"must give pictures of \[3, 16, 16\], as in training"):
        ranklight.load(changed(run, tmp_path, config=content))


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no .*nowhere"):
        ranklight.load(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"has no checkpoint .*fit it first"):
        ranklight.load(tmp_path)
    (tmp_path / "last.ckpt").write_bytes(b"PK")
    with pytest.raises(OSError, match="is damaged"):
        ranklight.load(tmp_path / "last.ckpt")
    torch.save({"weights": torch.ones(1)}, tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match="no checkpoint of a run"):
        ranklight.load(tmp_path / "other.ckpt")


def test_a_checkpoint_that_would_run_a_program_is_refused(tmp_path):
    torch.save({"state_dict": {}, "config": print}, tmp_path / "evil.ckpt")
    with pytest.raises(ValueError, match="no checkpoint that can be read safely"):
        ranklight.load(tmp_path / "evil.ckpt")
