import os
import shutil

import pytest
import pytorch_lightning as pl
import torch
from PIL import Image
from torch import nn

from ranklight.datamodules import ImageFolder
from ranklight.datamodules.reading.class_folders import read_class_folders
from tests.trees import image_folder, picture, pixels

SMALL = {"classes_per_batch": 3, "samples_per_class": 2, "image_size": 16, "resize": 20}


@pytest.fixture
def root(tmp_path):
    classes = {f"class {label}": 1 if label == 3 else 5 for label in range(10)}
    image_folder(tmp_path / "data", classes)
    (tmp_path / "data" / "class 1" / "notes.txt").write_text("not an image")
    return tmp_path / "data"


def prepared(root, stage="fit", **arguments):
    data = ImageFolder(str(root), **(SMALL | {"num_workers": 0} | arguments))
    data.setup(stage)
    return data


def class_sets(data):
    return [set(split.labels.tolist()) for split in (data.train, data.val, data.test)]


def test_the_constructor_reads_nothing():
    ImageFolder("/nowhere")


def test_splits_are_class_disjoint_and_complete(root):
    data = prepared(root)
    train, val, test = class_sets(data)
    assert (len(train), len(val), len(test)) == (4, 1, 5)
    assert train | val | test == set(range(10))
    assert len(data.train) + len(data.val) + len(data.test) == 46
    assert data.class_names == [f"class {label}" for label in range(10)]


def test_validation_may_share_classes_with_training(root):
    train, val, test = class_sets(prepared(root, validation="image_disjoint"))
    assert val <= train
    assert not test & train


def test_folders_of_splits_are_taken_as_they_are(tmp_path):
    folders = ("train/a", "train/b", "val/c", "test/b", "test/d")
    image_folder(tmp_path, {f"{folder}/deep": 3 for folder in folders})
    data = prepared(tmp_path, classes_per_batch=2)
    assert data.class_names == ["a", "b", "c", "d"]
    assert class_sets(data) == [{0, 1}, {2}, {1, 3}]


def test_folders_of_splits_as_others_call_them(tmp_path):
    image_folder(tmp_path, {"Train/a": 2, "valid/a": 2, "TEST/a": 2})
    data = prepared(tmp_path, "test")
    assert [len(split) for split in (data.train, data.val, data.test)] == [2, 2, 2]
    image_folder(tmp_path, {"dev/a": 2})
    with pytest.raises(FileNotFoundError, match="several are the same split"):
        prepared(tmp_path, "test")


def test_a_missing_val_folder_is_held_out_of_train(tmp_path):
    folders = [*(f"train/{label}" for label in "abcde"), "test/f", "test/g"]
    image_folder(tmp_path, dict.fromkeys(folders, 3))
    train, val, test = class_sets(prepared(tmp_path))
    assert len(train) == 4
    assert train | val == {0, 1, 2, 3, 4}
    assert test == {5, 6}


def test_batches_are_square_pictures_with_their_files(root):
    data = prepared(root)
    batch = next(iter(data.train_dataloader()))
    assert batch.images.shape == (6, 3, 16, 16)
    assert batch.images.dtype == torch.uint8
    assert len(set(batch.labels.tolist())) == 3
    for file, label in zip(data.test.files, data.test.labels, strict=True):
        assert f"/{data.class_names[label]}/" in file


def test_images_of_other_modes_become_rgb(tmp_path):
    for label, mode in enumerate(["L", "P", "RGBA", "CMYK", "1"]):
        suffix = "tif" if mode == "CMYK" else "png"
        for number in range(2):
            picture(tmp_path / str(label) / f"{number}.{suffix}", mode)
    data = prepared(tmp_path, classes_per_batch=1)
    for loader in (data.train_dataloader(), data.val_dataloader(), data.test_dataloader()):
        assert all(batch.images.shape[1] == 3 for batch in loader)


def test_augmentation_follows_seed_epoch_and_index_and_no_worker(root):
    runs = []
    for num_workers in (0, 2):
        torch.manual_seed(num_workers)
        loader = prepared(root, num_workers=num_workers).train_dataloader()
        runs.append([batch for _ in range(2) for batch in loader])
    for ours, theirs in zip(*runs, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    train = prepared(root).train
    first, again, later = (train.__getitems__([(e, 4)]).images for e in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, later)
    assert not torch.equal(first, prepared(root, seed=7).train.__getitems__([(0, 4)]).images)


def test_another_place_of_the_root_is_the_same_split(root, tmp_path):
    before = prepared(root).split_hash
    assert before != prepared(root, split_seed=1).split_hash
    root.rename(tmp_path / "moved")
    assert prepared(tmp_path / "moved").split_hash == before


def test_a_class_of_one_image_is_in_the_gallery(tmp_path):
    counts = {"a": 1, "b": 3, "c": 3, "d": 3}
    for split in ("train", "test"):
        image_folder(tmp_path / split, counts)
    arguments = {"validation": "image_disjoint", "validation_fraction": 0.4}
    data = prepared(tmp_path, **arguments, classes_per_batch=4)
    assert (data.test.labels == 0).sum() == 1
    batch = next(iter(data.train_dataloader()))
    assert (batch.labels == 0).sum() == 2
    with pytest.raises(ValueError, match="there are only 3 classes with at least 2 images"):
        prepared(tmp_path, **arguments, classes_per_batch=4, short_classes="drop")
    with pytest.raises(ValueError, match="1 of 4 classes have fewer images"):
        prepared(tmp_path, **arguments, short_classes="error")


def test_a_root_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"missing does not exist"):
        prepared(tmp_path / "missing")


def test_a_root_without_images_is_refused(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no images in .* end in"):
        prepared(tmp_path)


def test_train_without_test_is_refused(tmp_path):
    picture(tmp_path / "train" / "a" / "0.png")
    with pytest.raises(FileNotFoundError, match="has the folders train; it needs train and test"):
        prepared(tmp_path)


def test_an_empty_file_is_named_before_training(root):
    (root / "class 5" / "0.png").write_bytes(b"")
    with pytest.raises(
        ValueError, match=r"1 of 46 image files of .* are empty, first .*class 5/0\.png"
    ):
        prepared(root)


@pytest.mark.parametrize("num_workers", [0, 1])
@pytest.mark.parametrize("cut", [True, False])
def test_an_unreadable_file_is_named(root, num_workers, cut):
    for file in root.rglob("*.png"):
        file.write_bytes(file.read_bytes()[:200] if cut else b"no image at all")
    data = prepared(root, num_workers=num_workers)
    with pytest.raises(ValueError, match=r"class \d/\d\.png is not a readable image"):
        next(iter(data.train_dataloader()))


def test_more_classes_than_there_are_stop_before_training(root):
    message = "classes_per_batch is 5, but there are only 4 classes"
    with pytest.raises(ValueError, match=message):
        prepared(root, classes_per_batch=5)
    prepared(root, "test", classes_per_batch=5)


def test_more_samples_than_any_class_has_stop_before_training(root):
    with pytest.raises(ValueError, match="samples_per_class is 6, but the largest class has 5"):
        prepared(root, samples_per_class=6)


class Nothing(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def training_step(self, batch, batch_idx):
        return self.weight.sum()

    def test_step(self, batch, batch_idx):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def trainer(folder, max_epochs):
    return pl.Trainer(
        accelerator="cpu",
        default_root_dir=folder,
        logger=False,
        max_epochs=max_epochs,
        limit_val_batches=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )


def test_training_does_not_go_on_with_another_split(root, tmp_path):
    data = ImageFolder(str(root), **SMALL, num_workers=0)
    first = trainer(tmp_path, 1)
    first.fit(Nothing(), datamodule=data)
    first.save_checkpoint(tmp_path / "last.ckpt")
    other = ImageFolder(str(root), **SMALL, num_workers=0, split_seed=1)
    with pytest.raises(ValueError, match=f"trained on the split {data.split_hash}"):
        trainer(tmp_path, 2).fit(Nothing(), datamodule=other, ckpt_path=tmp_path / "last.ckpt")
    trainer(tmp_path, 2).test(Nothing(), datamodule=other, ckpt_path=tmp_path / "last.ckpt")


def test_what_is_hidden_is_no_class(root):
    picture(root / ".ipynb_checkpoints" / "0.png")
    picture(root / "class 1" / ".hidden" / "0.png")
    picture(root / "class 1" / "@eaDir" / "0.png")
    picture(root / "__MACOSX" / "0.png")
    data = prepared(root)
    assert data.class_names == [f"class {label}" for label in range(10)]
    assert len(data.train) + len(data.val) + len(data.test) == 46


def test_links_are_followed_and_cycles_are_not(root, tmp_path):
    picture(tmp_path / "elsewhere" / "deep" / "0.png")
    picture(tmp_path / "elsewhere" / "1.png")
    (root / "linked class").symlink_to(tmp_path / "elsewhere")
    (root / "class 1" / "more").symlink_to(tmp_path / "elsewhere" / "deep")
    (root / "class 1" / "cycle").symlink_to(root / "class 1")
    (root / "class 2" / "up").symlink_to(root)
    (root / "itself").symlink_to("itself")
    found = read_class_folders(root)
    assert found.classes.count("linked class") == 2
    assert found.classes.count("class 1") == 6
    assert len(found.files) == 49
    assert found.left_out.counts["linked back to a folder above"] == 2


def test_what_is_left_out_is_counted_with_the_first_names(root, caplog):
    for number in range(4):
        (root / "class 2" / f"{number}.mov").write_bytes(b"x")
    (root / "class 3" / "broken.png").symlink_to("/nowhere.png")
    picture(root / "beside.png")
    picture(root / "class 5" / ".thumb.png")
    with caplog.at_level("INFO"):
        prepared(root)
    (line,) = [record.message for record in caplog.records if "ImageFolder:" in record.message]
    for words in (
        "train 16 images of 4 classes",
        "1 hidden",
        "1 beside the class folders",
        "(beside.png)",
        "1 .txt files",
        "(class 1/notes.txt)",
        "4 .mov files (class 2/0.mov, class 2/1.mov, class 2/2.mov, ...)",
        "1 linked to nothing",
    ):
        assert words in line


def test_pictures_of_other_endings_are_read(tmp_path):
    for label in "abcdef":
        for number, suffix in enumerate(("JFIF", "Jpe", "webp")):
            (tmp_path / label).mkdir(exist_ok=True)
            kind = "WEBP" if suffix == "webp" else "JPEG"
            image = Image.fromarray(pixels(tmp_path / label / f"{number}.{suffix}"))
            image.save(tmp_path / label / f"{number}.{suffix}", kind)
    assert len(read_class_folders(tmp_path).files) == 18


def test_a_class_called_train_is_a_class_among_others(root):
    (root / "class 1").rename(root / "train")
    with pytest.warns(UserWarning, match="other folders beside train, so these are taken for cl"):
        assert "train" in prepared(root).class_names


def test_hidden_folders_do_not_make_splits_classes(tmp_path):
    image_folder(
        tmp_path, {f"{split}/{label}": 3 for split in ("train", "test") for label in "abc"}
    )
    picture(tmp_path / ".ipynb_checkpoints" / "0.png")
    assert prepared(tmp_path, validation="image_disjoint").class_names == ["a", "b", "c"]


def test_a_flat_folder_is_refused(tmp_path):
    for number in range(3):
        picture(tmp_path / f"{number}.png")
    with pytest.raises(
        FileNotFoundError, match=r"its 3 images lie beside no class folder.*Give eac"
    ):
        prepared(tmp_path)


def test_a_folder_that_may_not_be_read_is_refused(root, monkeypatch):
    scandir = os.scandir

    def refuse(folder):
        if str(folder).endswith("class 4"):
            raise PermissionError(13, "Permission denied", str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(
        PermissionError, match=r"the folder .*class 4 may not be read: give this us"
    ):
        prepared(root)


def test_copies_across_splits_are_warned_of(root):
    data = prepared(root)
    shutil.copy(data.train.files[0], data.test.files[0])
    with pytest.warns(UserWarning, match=r"images in more than one split.*, 1: .*\(train\)"):
        prepared(root)


def test_the_number_of_classes_is_known(root):
    assert prepared(root).num_classes == 10
