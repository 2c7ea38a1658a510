import pytest
import torch

from ranklight.datamodules import InShop
from tests.trees import SIDE, in_shop


@pytest.fixture
def root(tmp_path):
    in_shop(tmp_path)
    return tmp_path


def built(root, **options):
    small = {"check_counts": False, "classes_per_batch": 2, "samples_per_class": 2}
    small |= {"image_size": 8, "num_workers": 0, "validation_fraction": 0.25}
    data = InShop(str(root), **small | options)
    data.setup()
    return data


def test_test_is_queries_in_a_gallery_of_new_items(root):
    data = built(root)
    queries, gallery = data.test
    assert [len(split) for split in (data.train, data.val, queries, gallery)] == [18, 6, 6, 6]
    assert set(queries.labels.tolist()) == set(gallery.labels.tolist())
    trained = set(data.train.labels.tolist()) | set(data.val.labels.tolist())
    assert not trained & set(queries.labels.tolist())
    assert len(data.test_dataloader()) == 2
    assert next(iter(data.train_dataloader())).images.shape == (4, 3, 8, 8)


def test_the_kind_of_clothes_is_a_level(root):
    data = built(root)
    for split in (data.train, data.val, *data.test):
        women = torch.tensor(["WOMEN" in file for file in split.files])
        assert split.levels["super_class"].tolist() == women.long().tolist()


def test_boxes_are_a_choice_and_are_cut_to_the_picture(root):
    assert built(root).train.boxes is None
    file = root / "Anno" / "list_bbox_inshop.txt"
    lines = file.read_text().splitlines()
    lines[2] = lines[2].rpartition("    ")[0].replace("0    0", "-2    0") + f"    {SIDE + 3}"
    file.write_text("\n".join(lines))
    data = built(root, boxes=True)
    boxes = {box for split in (data.train, data.val) for box in split.boxes}
    assert boxes == {(0, 0, SIDE, SIDE // 2), (0, 0, SIDE, SIDE)}
    assert data.test[0].picture(0).shape == (3, SIDE // 2, SIDE)


def test_files_may_lie_in_the_root_itself(root):
    for folder in ("Eval", "Img"):
        for each in (root / folder).iterdir():
            each.rename(root / each.name)
        (root / folder).rmdir()
    assert len(built(root).train) == 18


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("img/A/B/id_1/1.jpg id_1", "needed 'image_name item_id evaluation_status'"),
        ("img/A/B/id_1/1.jpg id_1 val", "status must be one of train, query, gallery; got 'val'"),
        ("img/1.jpg id_1 train", "whose path names the kind of clothes; got 'img/1.jpg'"),
        ("img/A/B/id_1/1.jpg id_00000001 query", "the class occurs in training too"),
    ],
)
def test_lines_that_cannot_be(root, line, message):
    file = root / "Eval" / "list_eval_partition.txt"
    file.write_text(file.read_text() + line + "\n")
    with pytest.raises(ValueError, match=f"{file}, line 39: .*{message}"):
        built(root)


def test_what_is_missing_is_named(root):
    with pytest.raises(ValueError, match="25882 train images, but 24 were read"):
        built(root, check_counts=True)
    file = root / "Anno" / "list_bbox_inshop.txt"
    file.write_text("\n".join(file.read_text().splitlines()[:-1]))
    with pytest.raises(ValueError, match=r"has no box in list_bbox_inshop\.txt"):
        built(root, boxes=True)
    next((root / "Img").rglob("*.jpg")).unlink()
    with pytest.raises(FileNotFoundError, match=r"1 of 36 image files .* do not exist"):
        built(root)
