import pytest

from ranklight.datamodules import GLDv2
from tests.trees import gldv2


@pytest.fixture
def root(tmp_path):
    gldv2(tmp_path)
    return tmp_path


def built(root, **options):
    small = {"check_counts": False, "classes_per_batch": 2, "samples_per_class": 2}
    small |= {"image_size": 8, "num_workers": 0, "validation_fraction": 0.25}
    data = GLDv2(str(root), **small | options)
    data.setup()
    return data


def names(split, pairs):
    """Pairs of image indices as pairs of files' first letters and numbers."""
    file = dict(zip(split.indices.tolist(), split.files, strict=True))
    return [file[index][-6:-4] for index in pairs]


@pytest.mark.parametrize("clean", [True, False])
def test_training_is_either_table(root, clean):
    data = built(root, clean=clean)
    assert (len(data.train), data.num_classes) == (24, 8)
    assert next(iter(data.train_dataloader())).images.shape == (4, 3, 8, 8)


def test_public_queries_are_for_validation_and_private_ones_for_test(root):
    data = built(root)
    for stage, (queries, gallery), letter in (("val", data.val, "c"), ("test", data.test, "d")):
        assert (len(queries), len(gallery)) == (1, 6)
        pairs = data.relevant_pairs(stage)[""]
        assert names(queries, pairs.relevant[:, 0].tolist()) == [letter * 2] * 2
        assert names(gallery, pairs.relevant[:, 1].tolist()) == ["00", "01"]
        assert pairs.junk.shape == (0, 2)
        every = [*queries.labels.tolist(), *gallery.labels.tolist()]
        assert len(set(every)) == 7
        assert min(every) >= data.num_classes


def test_validation_may_be_on_held_out_landmarks(root):
    data = built(root, official_validation=False)
    assert not set(data.train.labels.tolist()) & set(data.val.labels.tolist())
    assert (len(data.train), len(data.val)) == (18, 6)
    assert data.relevant_pairs("val") == {}
    assert list(data.relevant_pairs("test")) == [""]


@pytest.mark.parametrize(
    ("table", "line", "message"),
    [
        ("index.csv", "bb", "needed the id of an image, as 0123456789abcdef; got 'bb'"),
        ("index.csv", "bbb0000000000000", "the image bbb0000000000000 is listed twice"),
        ("retrieval_solution_v2.1.csv", "fff,bbbx,Private", "the answer bbbx is not in index.csv"),
        ("retrieval_solution_v2.1.csv", "fff,None,Secret", "Usage is 'Secret', which is none of"),
        ("index.csv", "bbb1", r"1 of 33 image files .* do not exist, first .*bbb1.jpg"),
    ],
)
def test_rows_that_cannot_be(root, table, line, message):
    file = root / table
    file.write_text(f"{file.read_text()}{line}\n")
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        built(root)


def test_tables_may_lie_in_metadata(root):
    (root / "metadata").mkdir()
    for file in root.glob("*.csv"):
        file.rename(root / "metadata" / file.name)
    assert len(built(root).train) == 24


def test_the_published_counts_are_asked_for(root):
    with pytest.raises(ValueError, match="761757 index images, but 6 were read"):
        built(root, check_counts=True)
