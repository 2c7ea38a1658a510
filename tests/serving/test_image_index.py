"""An index on disk: what it finds, what it refuses, and what is left when a build is stopped."""

import json
import multiprocessing
import os
import signal

import numpy as np
import pytest
from pyarrow import parquet

from ranklight.search.vector_index import Layout
from ranklight.serving.embedding_blocks import EmbeddingBlocks
from ranklight.serving.image_index import ImageIndex
from ranklight.serving.index_building import (
    add_images,
    build_index,
    compare_layouts,
    remove_images,
)
from tests.serving.coloured_pictures import ENCODER, unit, write_embeddings

ROWS, DIMENSIONS = 600, 8
LAYOUTS = [Layout(), Layout("IVFFlat", kept="int8"), Layout("HNSW"), Layout("IVFPQ", prefix=4)]


@pytest.fixture(scope="module")
def vectors():
    draw = np.random.default_rng(3)
    return np.stack([unit(row) for row in draw.standard_normal((ROWS, DIMENSIONS))])


@pytest.fixture(scope="module")
def names():
    return [f"{number:04d}.png" for number in range(ROWS)]


@pytest.fixture
def source(tmp_path, names, vectors):
    labels = [f"class {number % 3}" for number in range(ROWS)]
    path = write_embeddings(tmp_path / "all.parquet", names, list(vectors), label=labels)
    return EmbeddingBlocks(path)


@pytest.fixture
def directory(tmp_path, source):
    build_index(source, tmp_path / "index")
    return tmp_path / "index"


def part(tmp_path, names, vectors, **told):
    return EmbeddingBlocks(write_embeddings(tmp_path / "part.parquet", names, vectors, **told))


def in_a_process(function, *arguments):
    """How a forked process ends that calls a function."""
    process = multiprocessing.get_context("fork").Process(target=function, args=arguments)
    process.start()
    process.join()
    return process.exitcode


def test_finds_the_nearest_by_name_with_their_similarity(directory, vectors, names):
    index = ImageIndex.open(directory)
    similarity, rows = index.search(vectors[5:7], 4)
    true = vectors[5:7] @ vectors.T
    np.testing.assert_array_equal(rows, (-true).argsort(axis=1)[:, :4])
    np.testing.assert_allclose(similarity, -np.sort(-true)[:, :4], atol=1e-6)
    assert index.files["file"][int(rows[0, 0])].as_py() == names[5]
    assert index.files["label"][5].as_py() == "class 2"
    assert (index.encoder, index.threshold, len(index)) == (ENCODER, 0.97, ROWS)


def test_an_image_of_the_index_is_not_its_own_neighbour(directory, vectors):
    similarity, rows = ImageIndex.open(directory).search_rows([5, 8], 3)
    true = vectors[[5, 8]] @ vectors.T
    np.testing.assert_array_equal(rows, (-true).argsort(axis=1)[:, 1:4])
    np.testing.assert_allclose(similarity, -np.sort(-true)[:, 1:4], atol=1e-6)


def test_copies_before_an_image_do_not_bring_it_back(tmp_path):
    copies = part(tmp_path, list("abcde"), [unit(np.ones(4))] * 5)
    build_index(copies, tmp_path / "copies")
    assert ImageIndex.open(tmp_path / "copies").search_rows([4], 2)[1].tolist() == [[0, 1]]


def test_broken_images_are_left_out(tmp_path):
    rows = [unit(np.array([1.0, 2])), None, unit(np.array([2.0, 1])), None]
    source = part(tmp_path, ["a", "b", "c", "d"], rows)
    assert (source.rows, source.broken) == (2, 2)
    build_index(source, tmp_path / "whole")
    assert ImageIndex.open(tmp_path / "whole").files["file"].to_pylist() == ["a", "c"]


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_what_was_removed_is_found_again_when_it_is_added(tmp_path, source, vectors, names, layout):
    directory = tmp_path / "other"
    build_index(source, directory, layout)
    assert remove_images(names[10:20], directory) == 10
    index = ImageIndex.open(directory)
    assert len(index) == ROWS - 10
    assert names[10] not in index.files["file"].to_pylist()
    _, rows = index.search(vectors[[9, 20]], 1)
    assert [index.files["file"][int(row)].as_py() for row in rows[:, 0]] == [names[9], names[20]]
    again = part(tmp_path, names[5:20], list(vectors[5:20]))
    assert add_images(again, directory) == (10, 5)
    index = ImageIndex.open(directory)
    assert index.files["file"][len(index) - 1].as_py() == names[19]
    assert index.files["label"][len(index) - 1].as_py() is None
    assert index.search(vectors[19:20], 1)[1].tolist() == [[ROWS - 1]]


def test_recall_is_measured_against_exact_search(tmp_path, source, vectors):
    (exact,) = build_index(source, tmp_path / "other")
    assert (exact.layout, exact.recall, exact.k) == ("Exact, float32", 1.0, 10)
    assert 32 <= exact.bytes_a_vector < 33
    (found,) = build_index(source, tmp_path / "other", Layout("IVFFlat", effort=2))
    true = (-(vectors @ vectors.T)).argsort(axis=1)[:, 1:11]
    _, rows = ImageIndex.open(tmp_path / "other").search_rows(range(ROWS), 10)
    by_hand = np.mean([len({*a} & {*b}) / 10 for a, b in zip(rows, true, strict=True)])
    assert 0.2 < by_hand < 0.9
    assert found.recall == pytest.approx(by_hand)
    facts = json.loads((tmp_path / "other" / "index.json").read_text())
    assert facts["measured"][0]["recall"] == found.recall


@pytest.mark.parametrize("k", [0, ROWS + 1])
def test_k_beyond_the_index_is_refused(directory, vectors, k):
    with pytest.raises(ValueError, match=f"600 images finds 1 to 600, not {k}"):
        ImageIndex.open(directory).search(vectors[:1], k)


def test_rows_beyond_the_index_are_refused(directory):
    with pytest.raises(ValueError, match="rows of the index are 0 to 599, not 600"):
        ImageIndex.open(directory).search_rows([600], 1)


def test_vectors_of_another_size_or_not_finite_are_refused(directory):
    index = ImageIndex.open(directory)
    with pytest.raises(ValueError, match="8 dimensions; got 5"):
        index.search(np.zeros((1, 5), np.float32), 1)
    with pytest.raises(ValueError, match="must be finite"):
        index.search(np.full((1, DIMENSIONS), np.nan, np.float32), 1)


def test_vectors_of_another_model_are_refused(tmp_path, directory):
    other = part(tmp_path, ["a"], [unit(np.ones(DIMENSIONS))], encoder="f" * 16)
    with pytest.raises(ValueError, match=f"encoder {ENCODER}, .* of ffffffffffffffff"):
        add_images(other, directory)
    assert len(ImageIndex.open(directory)) == ROWS


def test_files_that_are_not_in_the_index_are_not_removed(directory):
    with pytest.raises(ValueError, match="1 of 2 files to remove are not in the index, first z"):
        remove_images(["0001.png", "z.png"], directory)


def stopped_while_building(path, directory):
    class Stopped(EmbeddingBlocks):
        def take(self, positions):
            found = super().take(positions)
            (folder,) = set(directory.glob("version-*")) - before
            (folder / "index.faiss").write_bytes(b"half")
            os.kill(os.getpid(), signal.SIGKILL)
            return found

    before = set(directory.glob("version-*"))
    build_index(Stopped(path), directory)


def test_the_old_index_stays_when_a_build_is_killed(tmp_path, directory, names, vectors):
    fewer = write_embeddings(tmp_path / "fewer.parquet", names[:9], list(vectors[:9]))
    assert in_a_process(stopped_while_building, fewer, directory) == -signal.SIGKILL
    assert len(list(directory.glob("version-*"))) == 2
    assert len(ImageIndex.open(directory)) == ROWS
    build_index(EmbeddingBlocks(fewer), directory)
    assert len(ImageIndex.open(directory)) == 9
    assert len(list(directory.glob("version-*"))) == 1


def test_the_old_index_stays_when_the_disk_is_full(directory, source, monkeypatch):
    def full(self, path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ranklight.search.vector_index.VectorIndex.write", full)
    with pytest.raises(OSError, match=r"index\.faiss could not be written \(No space left"):
        build_index(source, directory, Layout(kept="half"))
    assert ImageIndex.open(directory).vectors.layout == Layout()
    assert len(list(directory.glob("version-*"))) == 1


def build_and_expect_refusal(path, directory):
    with pytest.raises(FileExistsError, match="another process writes the index"):
        build_index(EmbeddingBlocks(path), directory)
    os._exit(7)


def test_two_builds_at_once_are_refused(tmp_path, source):
    class WithAnother(EmbeddingBlocks):
        ended = None

        def take(self, positions):
            self.ended = self.ended or in_a_process(
                build_and_expect_refusal, source.path, tmp_path / "index"
            )
            return super().take(positions)

    first = WithAnother(source.path)
    build_index(first, tmp_path / "index")
    assert first.ended == 7
    assert len(ImageIndex.open(tmp_path / "index")) == ROWS


def test_a_directory_of_other_things_is_left_alone(tmp_path, source):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").touch()
    with pytest.raises(FileExistsError, match=r"holds a\.png, which is of no index"):
        build_index(source, tmp_path / "photos")
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["a.png"]


def test_files_of_different_lengths_are_refused(directory, tmp_path, names, vectors):
    build_index(part(tmp_path, names[:9], list(vectors[:9])), tmp_path / "small")
    (other,) = (tmp_path / "small").glob("version-*/files.parquet")
    (files,) = directory.glob("version-*/files.parquet")
    other.replace(files)
    with pytest.raises(ValueError, match="600 vectors and 9 files"):
        ImageIndex.open(directory)


def test_what_is_no_index_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no index in .*nothing: `ranklight index"):
        ImageIndex.open(tmp_path / "nothing")
    (tmp_path / "index.json").write_text("{")
    with pytest.raises(ValueError, match=r"index\.json must hold an index's facts"):
        ImageIndex.open(tmp_path)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(None, "no file of embeddings"), (b"PAR1 and no more", "no Parquet file")],
)
def test_a_file_that_is_no_parquet_is_named(tmp_path, content, sentence):
    path = tmp_path / "bad.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises((FileNotFoundError, ValueError), match=sentence):
        EmbeddingBlocks(path)


def test_a_table_without_embeddings_is_named(tmp_path, directory):
    (files,) = directory.glob("version-*/files.parquet")
    with pytest.raises(ValueError, match="with the columns file, embedding and error"):
        EmbeddingBlocks(files)


def test_nothing_but_broken_images_is_refused(tmp_path):
    path = write_embeddings(tmp_path / "none.parquet", ["a", "b"], [None, unit(np.ones(2))])
    parquet.write_table(parquet.read_table(path).slice(0, 1), path)
    with pytest.raises(ValueError, match="holds no vector: 1 images"):
        build_index(EmbeddingBlocks(path), tmp_path / "index")


def test_one_image_alone_has_no_recall(tmp_path, vectors):
    source = part(tmp_path, ["a"], list(vectors[:1]))
    with pytest.raises(ValueError, match=r"recall needs 2 images or more, and .* has 1"):
        next(compare_layouts(source, [Layout()]))


def test_names_that_start_in_another_folder_are_not_added(tmp_path, directory, names, vectors):
    fresh = part(tmp_path, ["new.png"], list(vectors[:1]))
    with pytest.raises(ValueError, match=r"named from .*, and new\.png from .*elsewhere"):
        add_images(fresh, directory, tmp_path / "elsewhere")
    whole = part(tmp_path, [tmp_path / "new.png"], list(vectors[:1]))
    assert add_images(whole, directory, tmp_path / "elsewhere") == (1, 0)


def test_boxes_of_one_file_are_images_of_their_own(tmp_path, vectors):
    def boxes(*left):
        sides = {"x1": [*left], "y1": [0] * len(left)}
        sides |= {"x2": [x + 5 for x in left], "y2": [4] * len(left)}
        names = ["a.png"] * len(left)
        return part(tmp_path, names, list(vectors[: len(left)]), **sides)

    build_index(boxes(0, 5), tmp_path / "boxes")
    assert add_images(boxes(5, 10, 15), tmp_path / "boxes") == (2, 1)
    index = ImageIndex.open(tmp_path / "boxes")
    assert [index.box(row)[0] for row in range(4)] == [0, 5, 10, 15]
    whole = part(tmp_path, ["a.png"], list(vectors[:1]))
    assert add_images(whole, tmp_path / "boxes") == (1, 0)
    assert ImageIndex.open(tmp_path / "boxes").box(4) is None


def test_vectors_that_are_not_finite_are_named(tmp_path):
    source = part(tmp_path, ["a", "b"], [unit(np.ones(2)), np.full(2, np.nan, np.float32)])
    with pytest.raises(ValueError, match="embedding of b is not finite"):
        build_index(source, tmp_path / "index")
    assert not list((tmp_path / "index").glob("version-*"))
