"""`ranklight embed`, in this process and in others that are killed."""

import io
import json
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pyarrow import csv, parquet

import ranklight
from ranklight.serving import embedding
from ranklight.serving.embedding import Job, embed_parts, embed_share, plan_of
from ranklight.serving.embeddings_file import EmbeddingsFile, vectors_of
from ranklight.serving.image_index import ImageIndex
from ranklight.serving.image_lists import list_images
from tests.serving import small_runs
from tests.serving.small_runs import METRIC, TWO_HEAD, folder_data, pictures_for_training, train
from tests.trees import image_folder, picture, write

FULL_DISK = "/dev/full"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("embed")


@pytest.fixture(scope="module")
def data(folder):
    return folder_data(pictures_for_training(folder / "data"))


@pytest.fixture(scope="module")
def run(folder, data):
    nothing = ("--best.monitor", "val/auc")
    watch = {"evaluation": "ranklight.callbacks.VerificationEvaluation"}
    return train(folder / "metric", METRIC, data, *nothing, callbacks=watch)


@pytest.fixture(scope="module")
def model(run):
    return ranklight.load(run, "cpu")


@pytest.fixture
def pictures(tmp_path):
    image_folder(tmp_path / "new", {"x": 3, "x/deeper": 2, "y": 2})
    (tmp_path / "new" / "x" / "broken.png").write_bytes(b"no picture")
    (tmp_path / "new" / "x" / "notes.txt").write_text("no picture")
    return tmp_path / "new"


@pytest.fixture
def embed(run, tmp_path):
    """`embed(images, *options)` -> the table that the command wrote."""

    def embed(images, *options, of=run, output=tmp_path / "E.parquet"):
        small_runs.ranklight("embed", of, images, "--output", output, "--workers", "0", *options)
        return parquet.read_table(output) if output.suffix == ".parquet" else np.load(output)

    return embed


@pytest.fixture
def wait_for():
    """Wait for a file while a command runs."""

    def wait(path, command):
        while not path.exists():
            assert command.running(), command.said()
            time.sleep(0.002)

    return wait


def refused(capsys, embed, *arguments, **named):
    with pytest.raises(SystemExit) as ended:
        embed(*arguments, **named)
    assert ended.value.code == 2
    return capsys.readouterr().err


def test_a_folder_is_a_row_an_image_and_a_broken_one_a_row_with_the_reason(
    embed, model, pictures, capsys
):
    table = embed(pictures)
    files = sorted(str(file) for file in pictures.rglob("*.png"))
    assert table.column_names == ["file", "embedding", "error", "label"]
    assert table["file"].to_pylist() == files
    assert table["label"].to_pylist() == ["x"] * 6 + ["y"] * 2
    broken = files.index(str(pictures / "x" / "broken.png"))
    errors = table["error"].to_pylist()
    assert "is not a readable image" in errors.pop(broken)
    assert errors == [None] * 7
    vectors, there = vectors_of(table)
    assert np.flatnonzero(~there).tolist() == [broken]
    assert np.isnan(vectors[broken]).all()
    whole = [file for file in files if "broken" not in file]
    np.testing.assert_allclose(vectors[there], model.embed(whole), atol=1e-6)
    said = " ".join(capsys.readouterr().out.split())
    assert "8 images" in said
    assert "1 of them cannot be read" in said
    assert "notes.txt" in said


def test_folders_of_splits_are_no_classes(embed, tmp_path):
    for split, count in (("train", 2), ("test", 1)):
        image_folder(tmp_path / "data" / split, {"a": count, "b/deeper": count})
    picture(tmp_path / "data" / "beside.png")
    table = embed(tmp_path / "data")
    assert table.column_names == ["file", "embedding", "error", "label", "split"]
    rows = zip(*(table[name].to_pylist() for name in ("file", "label", "split")), strict=True)
    shown = {Path(file).relative_to(tmp_path / "data").parts[:2]: rest for file, *rest in rows}
    assert shown == {
        ("beside.png",): [None, None],
        **{(split, of): [of, split] for split in ("train", "test") for of in ("a", "b")},
    }
    for split, name in (("train", "Training"), ("test", "TEST")):
        (tmp_path / "data" / split).rename(tmp_path / "data" / name)
    table = embed(tmp_path / "data", "--overwrite")
    assert set(table["split"].to_pylist()) == {None, "train", "test"}
    for split, name in (("train", "Training"), ("test", "TEST")):
        (tmp_path / "data" / name).rename(tmp_path / "data" / split)
    image_folder(tmp_path / "data" / "other", {".": 1})
    table = embed(tmp_path / "data", "--overwrite")
    assert set(table["label"].to_pylist()) == {None, "train", "test", "other"}
    assert "split" not in table.column_names


def test_a_run_indexes_images_adds_to_them_and_searches(
    run, model, pictures, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    index, few = tmp_path / "index", ("--workers", "0")
    small_runs.ranklight("index", run, "new", "--output", index, "--vectors", "half", *few)
    said = " ".join(capsys.readouterr().out.split())
    assert "1 images could not be read and are left out" in said
    opened = ImageIndex.open(index)
    names = opened.files["file"].to_pylist()
    assert names == sorted(
        str(file) for file in Path("new").rglob("*.png") if file.stem != "broken"
    )
    np.testing.assert_allclose(
        opened.vectors.vectors(np.arange(len(opened))), model.embed(names), atol=1e-3
    )

    small_runs.ranklight("index", run, "new", "--output", index, "--add", *few)
    assert "0 images added" in capsys.readouterr().out
    image_folder(tmp_path / "new" / "z", {"more": 1})
    small_runs.ranklight("index", run, "new", "--output", index, "--add", *few)
    said = capsys.readouterr().out
    assert "7 images are in the index already" in said
    assert "1 images added" in said
    (Path("new") / "x" / "broken.png").unlink()
    small_runs.ranklight("index", run, "new", "--output", index, "--add", *few)
    assert capsys.readouterr().out == "8 images are in the index already\n"
    (added,) = (Path("new") / "z").rglob("*.png")
    small_runs.ranklight("search", index, added, "-k", "1", "--json")
    (answer,) = json.loads(capsys.readouterr().out)
    assert answer["found"][0]["file"] == str(added)
    assert answer["found"][0]["similarity"] == pytest.approx(1, abs=1e-3)
    assert answer["found"][0]["same"] is True
    monkeypatch.chdir(tmp_path / "new")
    with pytest.raises(SystemExit):
        small_runs.ranklight("index", run, "x", "--output", index, "--add", *few)
    assert "files of the index are named from" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"new", "index"}


def test_an_index_of_nothing_that_can_be_read_is_refused(run, tmp_path, capsys):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(SystemExit):
        small_runs.ranklight(
            "index", run, tmp_path / "broken.png", "--output", tmp_path / "index", "--workers", "0"
        )
    assert "none of the 1 images of" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["broken.png"]


def test_what_is_embedded_is_kept_when_the_index_cannot_be_written(
    run, pictures, tmp_path, capsys, monkeypatch
):
    def full(self, path):
        raise OSError(28, "No space left on device")

    command = ("index", run, pictures, "--output", tmp_path / "index", "--workers", "0")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ranklight.search.vector_index.VectorIndex.write", full)
        with pytest.raises(SystemExit):
            small_runs.ranklight(*command)
    assert "could not be written (No space left" in capsys.readouterr().err
    monkeypatch.setattr(embedding, "embed_share", lambda model, job, numbers: iter(numbers))
    small_runs.ranklight(*command)
    assert len(ImageIndex.open(tmp_path / "index")) == 7


def test_the_file_says_what_its_vectors_are(embed, model, pictures, tmp_path):
    embed(pictures)
    file = EmbeddingsFile(tmp_path / "E.parquet")
    assert file.about.encoder == model.encoder_hash
    assert file.about.run == "small/one"
    assert file.about.normalised
    assert file.about.threshold == model.similarity_threshold
    assert (file.rows, file.embedding_size) == (8, 6)
    blocks = list(file.blocks(["file", "embedding"], rows=3))
    assert [len(block) for block in blocks] == [3, 3, 2]
    whole, _ = vectors_of(parquet.read_table(file.path))
    np.testing.assert_array_equal(np.concatenate([vectors_of(each)[0] for each in blocks]), whole)


def test_what_systems_keep_in_a_folder_and_a_link_to_itself_are_no_images(tmp_path):
    picture(tmp_path / "shown.png")
    picture(tmp_path / "@eaDir" / "thumbnail.png")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    images = list_images(str(tmp_path))
    assert images.files == [str(tmp_path / "shown.png")]
    assert images.left_out.counts == {"hidden": 1, "linked to nothing": 1}


def test_a_table_keeps_its_columns_and_shows_its_boxes(embed, model, tmp_path):
    picture(tmp_path / "images" / "0.png")
    with Image.open(tmp_path / "images" / "0.png") as image:
        part = image.crop((4, 0, 32, 20))
    rows = ["images/0.png,4,0,32,20,cat,red", "images/0.png,0,0,99,9,dog,", "gone.png,0,0,1,1,,"]
    write(tmp_path / "table.csv", ["photo,x1,y1,x2,y2,label,colour", *rows])
    table = embed(tmp_path / "table.csv", "--image", "photo")
    assert table.column_names[:4] == ["file", "embedding", "error", "label"]
    assert set(table.column_names[4:]) == {"x1", "y1", "x2", "y2", "colour"}
    assert table["label"].to_pylist()[:2] == ["cat", "dog"]
    reasons = table["error"].to_pylist()
    assert reasons[0] is None
    assert "box (0, 0, 99, 9)" in reasons[1]
    assert f"there is no file {tmp_path / 'gone.png'}" in reasons[2]
    np.testing.assert_allclose(vectors_of(table)[0][0], model.embed(part)[0], atol=1e-6)


def test_names_on_standard_input_keep_their_order(embed, pictures, monkeypatch):
    files = [str(pictures / name) for name in ("y/1.png", "x/0.png", "y/1.png")]
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{file}\n" for file in files)))
    table = embed("-")
    assert table["file"].to_pylist() == files
    vectors, _ = vectors_of(table)
    np.testing.assert_array_equal(vectors[0], vectors[2])
    assert "label" not in table.column_names


def test_a_list_of_broken_images_is_a_file_of_reasons(run, tmp_path, capsys):
    write(tmp_path / "list.txt", ["a.png", "b.png"])
    words = ["embed", run, tmp_path / "list.txt", "--output", tmp_path / "E.parquet"]
    with pytest.raises(SystemExit, match="2"):
        small_runs.ranklight(*words, "--workers", 0)
    assert "none of the 2 images" in capsys.readouterr().err
    table = parquet.read_table(tmp_path / "E.parquet")
    assert table["embedding"].null_count == 2
    assert table["error"].to_pylist() == ["there is no file a.png", "there is no file b.png"]


def test_classes_have_scores_and_decided_labels(embed, folder, data, pictures, tmp_path):
    classifier = train(folder / "two_head", TWO_HEAD, data, "--best.monitor", "val/accuracy")
    model = ranklight.load(classifier, "cpu")
    table = embed(pictures, of=classifier)
    order = ["file", "embedding", "error", "label", "scores", "decided"]
    assert table.column_names == order
    scores, there = vectors_of(table, "scores")
    whole = [file for file, good in zip(table["file"].to_pylist(), there, strict=True) if good]
    np.testing.assert_allclose(scores[there], model.scores(whole), atol=1e-6)
    decided = table["decided"].to_pylist()
    assert [said for said in decided if said is not None] == model.labels(whole)
    arrays = embed(pictures, of=classifier, output=tmp_path / "E.npz")
    np.testing.assert_array_equal(arrays["scores"], scores)
    np.testing.assert_array_equal(arrays["embedding"], vectors_of(table)[0])
    names = arrays["class_names"]
    said = [[str(name) for name in names[row]] for row in arrays["decided"]]
    assert said == [labels or [] for labels in decided]


def test_numpy_s_files_have_nan_where_an_image_is_broken(embed, pictures, tmp_path):
    table = embed(pictures)
    vectors, _ = vectors_of(table)
    np.testing.assert_array_equal(embed(pictures, output=tmp_path / "E.npy"), vectors)
    arrays = embed(pictures, output=tmp_path / "E.npz")
    np.testing.assert_array_equal(arrays["embedding"], vectors)
    assert arrays["file"].tolist() == table["file"].to_pylist()
    assert arrays["error"].tolist() == [error or "" for error in table["error"].to_pylist()]
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "E.npy",
        "E.npz",
        "E.parquet",
        "new",
    ]


def test_workers_and_sizes_of_batches_change_nothing(embed, pictures, tmp_path):
    expected = embed(pictures)
    options = ("--workers", "2", "--batch_size", "3")
    other = embed(pictures, *options, output=tmp_path / "other.parquet")
    assert other.drop(["embedding"]) == expected.drop(["embedding"])
    np.testing.assert_allclose(vectors_of(other)[0], vectors_of(expected)[0], atol=1e-6)


def test_parts_of_another_model_or_list_are_not_gone_on_with(
    embed, model, run, pictures, tmp_path, capsys
):
    job = Job(str(run), list_images(str(pictures)), tmp_path / "E.parquet", rows_in_part=3)
    shares = embed_share(model, job, [0])
    with suppress(InterruptedError), job.parts.claimed(plan_of(model, job)):
        assert next(shares) == 0
        raise InterruptedError
    (pictures / "y" / "0.png").unlink()
    said = refused(capsys, embed, pictures)
    assert "has a part of other embeddings (images, rows in a part changed)" in said
    assert (tmp_path / "E.parquet.parts" / "000000.parquet").exists()


def test_two_at_once_are_refused(embed, model, run, pictures, tmp_path, start_command):
    job = Job(str(run), list_images(str(pictures)), tmp_path / "E.parquet")
    with job.parts.claimed(plan_of(model, job)):
        (command,) = start_command("embed", str(run), str(pictures), "--output", str(job.output))
        assert command.wait() == 2
        embed_parts(model, job)
    assert "another process writes" in command.said()


def test_a_process_that_is_killed_is_gone_on_with(run, tmp_path, start_command, wait_for):
    names = [f"{tmp_path}/images/{n % 8}.png" for n in range(5000)]
    for name in names[:8]:
        picture(Path(name))
    write(tmp_path / "list.txt", names)
    arguments = ["embed", str(run), str(tmp_path / "list.txt"), "--batch_size", "16"]
    arguments += ["--output", str(tmp_path / "E.parquet")]
    (command,) = start_command(*arguments)
    first = tmp_path / "E.parquet.parts" / "000000.parquet"
    wait_for(first, command)
    command.send(signal.SIGKILL)
    assert command.wait() == -signal.SIGKILL
    assert not (tmp_path / "E.parquet").exists()
    done = 1024 * len(list(first.parent.glob("*.parquet")))
    (command,) = start_command(*arguments)
    assert f"going on: {done:,} of 5,000 images are done" in command.succeed()
    assert not first.parent.exists()
    table = parquet.read_table(tmp_path / "E.parquet")
    assert table["file"].to_pylist() == names
    vectors, _ = vectors_of(table)
    np.testing.assert_allclose(vectors, vectors[np.arange(5000) % 8], atol=1e-6)


@pytest.mark.skipif(not os.path.exists(FULL_DISK), reason="only Linux has a device that is full")
@pytest.mark.parametrize("suffix", [".parquet", ".npy", ".npz"])
@pytest.mark.parametrize("where", ["part", "whole"])
def test_a_full_disk_is_named_and_nothing_is_lost(
    embed, pictures, tmp_path, capsys, suffix, where, monkeypatch
):
    output = tmp_path / f"E{suffix}"
    parts = tmp_path / f"E{suffix}.parts"
    parts.mkdir()
    full = parts / "000000.parquet.part" if where == "part" else tmp_path / f"E{suffix}.part"
    if where == "whole" and suffix == ".npy":
        pytest.skip("it is moved to its place, not written there")
    full.symlink_to(FULL_DISK)
    said = refused(capsys, embed, pictures, output=output)
    assert "could not be written" in said
    assert not output.exists()
    assert (parts / "000000.parquet").exists() == (where == "whole")
    embed(pictures, output=output)
    assert output.exists()
    assert not parts.exists()


def test_several_devices_are_a_process_each(run, model, pictures, tmp_path):
    job = Job(str(run), list_images(str(pictures)), tmp_path / "E.parquet", rows_in_part=2)
    embed_parts(model, job, ["cpu", "cpu"])
    assert not job.parts.missing()
    vectors = np.concatenate([vectors_of(part)[0] for part in job.parts.read()])
    (pictures / "x" / "broken.png").unlink()
    there = ~np.isnan(vectors).any(1)
    np.testing.assert_allclose(vectors[there], model.embed(pictures), atol=1e-6)


def test_a_run_that_goes_on_meanwhile_is_refused(run, pictures, tmp_path):
    job = Job(str(run), list_images(str(pictures)), tmp_path / "E.parquet")
    with pytest.raises(ValueError, match="has other weights than a moment ago"):
        embedding._embed_share_on("cpu", job, [0], "of another model")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "there is no folder, table or image nowhere"),
        (["README.md"], "is no folder, table or image"),
        ([str(Path(__file__).parents[2] / "docs"), "--devices", "nonsense"], "torch can use here"),
        ([".", "--decision", "TopK"], "must be a fitted decision of the run (none); got TopK"),
        ([".", "--batch_size", "0"], "--batch_size must be 1 or more; got 0"),
        ([".", "--workers", "-1"], "--workers must be 0 or more; got -1"),
    ],
)
def test_what_cannot_be_embedded_is_refused_before_work(embed, capsys, arguments, words, tmp_path):
    assert words in refused(capsys, embed, *arguments)
    assert not list(tmp_path.glob("E*"))


def test_a_file_that_is_there_is_kept_unless_told(embed, pictures, capsys, tmp_path):
    embed(pictures)
    assert "is there already" in refused(capsys, embed, pictures)
    embed(pictures, "--overwrite")
    assert "must end in .parquet, .npz, .npy" in refused(
        capsys, embed, pictures, output=tmp_path / "E.csv"
    )


def test_a_table_with_a_column_of_ours_is_refused(embed, capsys, tmp_path):
    picture(tmp_path / "0.png")
    write(tmp_path / "table.csv", ["image,scores,error", "0.png,1,2"])
    assert "has a column error" in refused(capsys, embed, tmp_path / "table.csv")


def test_a_folder_without_images_is_refused(embed, capsys, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "no images in" in refused(capsys, embed, tmp_path / "empty")


@pytest.mark.skipif(sys.platform != "linux", reason="others have no such names")
def test_a_name_that_is_no_text_is_refused_before_work(embed, capsys, tmp_path):
    picture(tmp_path / "images" / "cafe.png")
    (tmp_path / "images" / "cafe.png").rename(tmp_path / "images" / os.fsdecode(b"caf\xe9.png"))
    assert "must be UTF-8" in refused(capsys, embed, tmp_path / "images")


def test_a_file_of_others_is_refused(tmp_path):
    write(tmp_path / "table.csv", ["file,embedding,error", "a,1,"])
    parquet.write_table(csv.read_csv(tmp_path / "table.csv"), tmp_path / "other.parquet")
    with pytest.raises(ValueError, match="must be a file that `ranklight embed` wrote"):
        EmbeddingsFile(tmp_path / "other.parquet")
    with pytest.raises(ValueError, match="is no Parquet file"):
        EmbeddingsFile(tmp_path / "table.csv")
    with pytest.raises(FileNotFoundError, match="there is no file of embeddings"):
        EmbeddingsFile(tmp_path / "gone.parquet")
