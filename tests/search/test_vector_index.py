"""An index that is kept in a file: what it finds, forgets and brings back, layout by layout."""

import importlib

import numpy as np
import pytest

from ranklight.search.vector_index import Layout, VectorIndex, rows_to_learn_from

ROWS, DIMENSIONS = 1200, 16
EXACT = Layout()
LAYOUTS = [
    EXACT,
    Layout(kept="half"),
    Layout(kept="int8"),
    Layout(kept="binary"),
    Layout(prefix=8),
    Layout(pca=8),
    Layout("IVFFlat"),
    Layout("IVFFlat", kept="binary"),
    Layout("IVFPQ"),
    Layout("HNSW", kept="int8", pca=12),
]


@pytest.fixture(scope="module")
def vectors():
    """Unit vectors around 100 centres, each dimension less wide than the one before."""
    draw = np.random.default_rng(0)
    centres = draw.standard_normal((100, DIMENSIONS)) / np.arange(1, DIMENSIONS + 1)
    rows = centres[np.arange(ROWS) % 100] + 0.02 * draw.standard_normal((ROWS, DIMENSIONS))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def built(layout, vectors):
    index = VectorIndex.learn(layout, vectors, rows=len(vectors))
    for block in np.array_split(vectors, 3):
        index.add(block)
    return index


def by_hand(vectors, queries, k):
    squares = ((queries[:, None].astype(float) - vectors[None]) ** 2).sum(2)
    return np.sort(squares, axis=1)[:, :k], squares.argsort(axis=1, kind="stable")[:, :k]


def share_found(found, true):
    return np.mean([len({*a} & {*b}) / len(b) for a, b in zip(found, true, strict=True)])


def test_the_exact_one_finds_what_a_loop_finds(vectors):
    index = built(EXACT, vectors)
    distance, found = index.nearest(vectors[:7], 12)
    true_distance, true = by_hand(vectors, vectors[:7], 12)
    np.testing.assert_array_equal(found, true)
    np.testing.assert_allclose(distance, true_distance, atol=1e-6)


def test_exact_copies_come_by_position():
    rows = np.eye(4, dtype=np.float32)[[1, 0, 1, 1, 2]]
    index = built(EXACT, rows)
    assert index.nearest(rows[:1], 3)[1].tolist() == [[0, 2, 3]]


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_each_layout_finds_most_and_is_the_same_when_read_again(vectors, layout, tmp_path):
    index = built(layout, vectors)
    true = by_hand(vectors, vectors[:50], 12)[1]
    found = index.nearest(vectors[:50], 12)
    assert share_found(found[1], true) > (0.5 if layout.kept == "binary" else 0.9)
    index.write(tmp_path / "index.faiss")
    again = VectorIndex.read(tmp_path / "index.faiss", layout)
    for one, other in zip(found, again.nearest(vectors[:50], 12), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_removed_rows_are_gone_and_the_others_move_up(vectors, layout):
    index = built(layout, vectors)
    removed = np.array([0, 5, 100, 700, ROWS - 1])
    kept = np.setdiff1d(np.arange(ROWS), removed)
    before = index.nearest(vectors[kept[:50]], 20)[1]
    index.remove(removed)
    assert len(index) == len(kept)
    after = kept[index.nearest(vectors[kept[:50]], 15)[1]]
    assert share_found(after, [[r for r in row if r not in removed][:15] for row in before]) > 0.95
    index.add(vectors[removed])
    # Rows that were forgotten and added again stand at the end.
    assert ROWS - 5 in index.nearest(vectors[:1], 20)[1]


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_only_allowed_rows_are_found(vectors, layout):
    index = built(layout, vectors)
    allowed = np.zeros(ROWS, dtype=bool)
    allowed[::10] = True
    _, found = index.nearest(vectors[:20], 5, allowed)
    assert (found[found >= 0] % 10 == 0).all()
    assert (found[::10, 0] == np.arange(0, 20, 10)).all()


@pytest.mark.parametrize("layout", [EXACT, Layout(kept="half"), Layout("IVFPQ")], ids=str)
def test_a_row_is_told_as_it_is_kept(vectors, layout):
    kept = built(layout, vectors).vectors(np.array([3, 900]))
    np.testing.assert_allclose(
        kept, vectors[[3, 900]], atol=0.15 if layout.kind == "IVFPQ" else 1e-3
    )


def test_a_prefix_of_unit_vectors_has_length_one(vectors):
    index = built(Layout(prefix=4), vectors)
    np.testing.assert_allclose(np.linalg.norm(index.vectors(np.arange(9)), axis=1), 1, atol=1e-6)


def test_codes_are_smaller(vectors, tmp_path):
    sizes = []
    for layout in (EXACT, Layout(kept="half"), Layout(kept="int8"), Layout(kept="binary")):
        built(layout, vectors).write(tmp_path / "index.faiss")
        sizes.append((tmp_path / "index.faiss").stat().st_size / ROWS)
    assert np.round(sizes).tolist() == [64, 32, 16, 11]


def test_cells_are_learnt_from_a_part():
    assert rows_to_learn_from(Layout("IVFPQ"), 10**6) == 256_000
    assert rows_to_learn_from(Layout(kept="int8"), 300) == 300
    assert rows_to_learn_from(EXACT, 300) == 1


@pytest.mark.parametrize(
    ("layout", "sentence"),
    [
        (Layout("Flat"), "an index is one of"),
        (Layout(kept="int4"), "keeps"),
        (Layout("IVFPQ", kept="half"), "codes of its own"),
        (Layout(prefix=17), "1 to 16 dimensions, not 17"),
        (Layout(prefix=8, pca=9), "at most 8 principal components, not 9"),
        (Layout(effort=0), "effort must be 1"),
    ],
)
def test_a_layout_that_does_not_fit_is_refused(vectors, layout, sentence):
    with pytest.raises(ValueError, match=sentence):
        VectorIndex.learn(layout, vectors, rows=ROWS)


def test_too_few_rows_for_codes_are_refused(vectors):
    with pytest.raises(ValueError, match="256 rows or more, there are 100"):
        VectorIndex.learn(Layout("IVFPQ"), vectors[:100], rows=100)


def test_little_to_learn_from_is_no_noise(vectors, capfd):
    for layout in (Layout("IVFPQ"), Layout("IVFPQ", pca=8), Layout("IVFFlat")):
        VectorIndex.learn(layout, vectors[:300], rows=300)
    assert "WARNING" not in "".join(capfd.readouterr())


def test_a_file_that_is_cut_off_is_named(vectors, tmp_path):
    path = tmp_path / "index.faiss"
    built(EXACT, vectors).write(path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"index\.faiss is not a whole FAISS index"):
        VectorIndex.read(path, EXACT)


def test_torch_utils_of_faiss_may_be_imported_too(vectors):
    """It replaces the search of every index by one without parameters, for the whole process."""
    importlib.import_module("faiss.contrib.torch_utils")
    for layout in LAYOUTS:
        distance, found = built(layout, vectors).nearest(vectors[:2], 3)
        assert distance.shape == found.shape == (2, 3)
