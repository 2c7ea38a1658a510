import itertools
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ranklight.datamodules import (
    GradedRelevance,
    ImageTable,
    LabelSet,
    NearestBatches,
    Numbers,
    PairRelevance,
    PxK,
    ShuffledBatches,
    TripletBatches,
)
from ranklight.pairs import GradedByAttributes
from tests.trees import SIDE, picture, write

SMALL = {"image_size": 16, "num_workers": 0}
BOX = ("x1", "y1", "x2", "y2")
SPLITS = ["train"] * 12 + ["val"] * 4 + ["test"] * 4


@pytest.fixture
def table(tmp_path):
    """`table(columns)`: a table of so many images as the columns have rows."""

    def written(**columns):
        rows = len(next(iter(columns.values())))
        columns = {"image": [f"images/{row}.png" for row in range(rows)], **columns}
        for image in columns["image"]:
            if image and not (tmp_path / image).exists():
                picture(tmp_path / image)
        lines = [",".join(map(str, row)) for row in zip(*columns.values(), strict=True)]
        write(tmp_path / "table.csv", [",".join(columns), *lines])
        return str(tmp_path / "table.csv")

    return written


def prepared(table, labels=None, stage="test", **arguments):
    data = ImageTable(table, labels, **SMALL | arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data.setup(stage)
    return data


def rows_of(split):
    sides = split if isinstance(split, list) else [split]
    return [sorted(side.indices.tolist()) for side in sides]


def replace(file, old, new):
    Path(file).write_text(Path(file).read_text().replace(old, new))


def classes(number, of=4):
    return [f"class {row % of}" for row in range(number)]


def test_the_constructor_reads_nothing():
    ImageTable("/nowhere.csv")


def test_splits_are_those_of_the_column(table):
    data = prepared(table(split=SPLITS, label=classes(20)))
    assert [rows_of(split) for split in (data.train, data.val, data.test)] == [
        [list(range(12))],
        [list(range(12, 16))],
        [list(range(16, 20))],
    ]
    assert data.class_names == [f"class {number}" for number in range(4)]
    assert data.num_classes == 4
    assert data.train.labels.tolist() == [row % 4 for row in range(12)]
    assert all(file.endswith(f"images/{row}.png") for row, file in enumerate(data.train.files))


def test_splits_as_others_write_them(table):
    written = {"train": "Training", "val": "valid", "test": "TEST"}
    data = prepared(table(split=[written[split] for split in SPLITS], label=classes(20)))
    assert rows_of(data.val) == [list(range(12, 16))]
    file = table(
        split=["Train"] * 12 + ["Validation_Query", "dev_gallery"] * 2 + ["test"] * 4,
        label=classes(20),
    )
    assert rows_of(prepared(file).val) == [[12, 14], [13, 15]]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("CLASS 0", "nearly equal names"),
        ("class  0", "nearly equal names"),
        ("\uff43lass 0", "'class 0' = "),
        ("nan", "classes 'nan' may stand for images without a label"),
        ("None", "may stand for images without a label"),
    ],
)
def test_names_of_classes_that_give_something_away(table, name, words):
    file = table(split=SPLITS, label=[name, *classes(20)[1:]])
    with pytest.warns(UserWarning, match=words):
        ImageTable(file, **SMALL).setup("test")


def test_columns_may_have_other_names(table):
    names = {"image": "file_name", "split": "part", "role": "side", "group": "camera"}
    file = table(part=SPLITS, side=[""] * 20, camera=["a", "b"] * 10, label=classes(20))
    replace(file, "image,", "file_name,")
    data = prepared(file, **names)
    assert data.group_names == ("a", "b")
    assert data.val.groups.tolist() == [0, 1, 0, 1]
    for key in names:
        with pytest.raises(ValueError, match="has no column nothing; it has file_name, part, side"):
            prepared(file, **{**names, key: "nothing"})


@pytest.mark.parametrize(
    ("by", "counts"),
    [("class", [60, 20, 20]), ("image", [60, 20, 20]), ("group", [60, 20, 20])],
)
def test_without_a_column_parts_are_held_out(table, by, counts):
    groups = [row // 10 for row in range(100)]
    data = prepared(table(label=classes(100, 10), group=groups), hold_out=by)
    parts = [data.train, data.val, data.test]
    assert [len(part) for part in parts] == counts
    together = itertools.chain.from_iterable(rows_of(part)[0] for part in parts)
    assert sorted(together) == list(range(100))
    for kind, apart in (("labels", by == "class"), ("groups", by == "group")):
        train, val, test = (set(getattr(part, kind).tolist()) for part in parts)
        assert (not train & test, not train & val, not val & test) == (apart,) * 3


def test_validation_alone_may_be_held_out(table):
    splits = ["train"] * 16 + ["test"] * 4
    data = prepared(table(split=splits, label=classes(20)), hold_out="image")
    assert rows_of(data.test) == [[16, 17, 18, 19]]
    assert len(data.val) == 4
    assert sorted(rows_of(data.train)[0] + rows_of(data.val)[0]) == list(range(16))


@pytest.mark.parametrize("by", ["class", "group"])
def test_folds_take_the_place_of_the_validation_split_and_leave_test_alone(table, by):
    splits = ["train"] * 30 + ["val"] * 10 + ["test"] * 20
    of_val = ["query", "gallery", "distractor", "junk", *["gallery"] * 6]
    of_test = ["query", "gallery"] * 10
    groups = [row // 5 for row in range(60)]
    labels = classes(60, 10)
    labels[32:34] = ["", ""]
    file = table(split=splits, role=[""] * 30 + of_val + of_test, label=labels, group=groups)
    folds = [prepared(file, hold_out=by, fold=(number, 2)) for number in range(2)]
    known = sorted({*range(40)} - {32, 33})
    assert sorted(rows_of(folds[0].val)[0] + rows_of(folds[1].val)[0]) == known
    for data in folds:
        assert sorted(rows_of(data.train)[0] + rows_of(data.val)[0]) == known
        assert rows_of(data.test) == [[*range(40, 60, 2)], [*range(41, 60, 2)]]
        kind = "labels" if by == "class" else "groups"
        train, val = (set(getattr(part, kind).tolist()) for part in (data.train, data.val))
        assert not train & val
        assert len(rows_of(data.val)) == 1  # everything against everything else


def test_a_column_may_be_left_unread(table):
    file = table(split=SPLITS, label=classes(20), role=["president"] * 20)
    assert len(prepared(file, split=None, role=None, hold_out="image").test) == 4
    with pytest.raises(ValueError, match=r"row 1: role is 'president', which is none of query, ga"):
        prepared(file)


def roles(*of_test):
    return [""] * 16 + list(of_test)


def test_roles_make_queries_and_a_gallery(table):
    labels = [*classes(19), ""]
    of_test = roles("query", "gallery", "gallery", "distractor")
    data = prepared(table(split=SPLITS, label=labels, role=of_test, group=range(20)))
    assert rows_of(data.test) == [[16], [17, 18, 19]]
    assert data.test[1].roles.tolist() == [1, 1, 2]
    assert data.test[1].groups.tolist() == [17, 18, 19]
    assert data.class_names[data.test[1].labels[2]] == "distractor"
    assert len(data.test_dataloader()) == 2
    assert rows_of(data.val) == [[12, 13, 14, 15]]


def test_splits_may_name_the_side(table):
    splits = [*SPLITS[:16], "test_query", "test_gallery", "test_gallery", "test_query"]
    file = table(split=splits, label=classes(20))
    assert rows_of(prepared(file).test) == [[16, 19], [17, 18]]
    other = table(split=splits, label=classes(20), role=roles("", "", "query", ""))
    with pytest.raises(ValueError, match="row 19: split says gallery, and role query"):
        prepared(other)


def test_an_image_that_is_query_and_gallery_has_one_index(table):
    images = [f"images/{row}.png" for row in range(18)] + ["images/17.png", "images/16.png"]
    of_test = roles("query", "query", "gallery", "gallery")
    file = table(image=images, split=SPLITS, label=[*classes(18), *"xy"], role=of_test)
    with pytest.raises(ValueError, match=r"row 19: .*/17\.png is in the gallery under another lab"):
        prepared(file)
    labels = [*classes(18), "class 1", "class 0"]
    data = prepared(table(image=images, split=SPLITS, label=labels, role=of_test))
    assert data.test[0].indices.tolist() == [16, 17]
    assert data.test[1].indices.tolist() == [17, 16]


def test_queries_may_be_drawn(table):
    data = prepared(table(split=SPLITS, x=range(20)), Numbers(["x"]), query_fraction=0.25)
    for split, rows in ((data.val, range(12, 16)), (data.test, range(16, 20))):
        queries, gallery = rows_of(split)
        assert len(queries) == 1
        assert sorted(queries + gallery) == list(rows)


def test_what_is_no_file_here_is_refused(table, tmp_path):
    file = table(split=SPLITS, label=classes(20))
    replace(file, "images/3.png", "https://where.org/3.png")
    with pytest.raises(ValueError, match=r"row 4: image is https://where.org/3.png; .*fetch them"):
        prepared(file)
    (tmp_path / "3.png").mkdir()
    replace(file, "https://where.org/3.png", "3.png")
    with pytest.raises(
        FileNotFoundError, match=r"1 of 20 .* are folders or devices, first .*3\.png"
    ):
        prepared(file)


def test_a_box_is_cut_out_and_may_repeat_its_image(table, tmp_path):
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    image[:16, :16] = 255
    splits = ["train"] * 2 + ["val"] * 2 + ["test"] * 2
    for row in range(6):
        (tmp_path / "images").mkdir(exist_ok=True)
        Image.fromarray(image).save(tmp_path / "images" / f"{row}.png")
    boxes = {"x1": [0, 16] * 3, "y1": [0] * 6, "x2": [16, 32] * 3, "y2": [16] * 6}
    images = [f"images/{row // 2 * 2}.png" for row in range(6)]
    data = prepared(table(image=images, split=splits, label=["a"] * 6, **boxes), resize=16)
    light, dark = data.test.__getitems__([0, 1]).images.float().mean((1, 2, 3))
    assert light > 250
    assert dark < 5


@pytest.mark.parametrize(
    "box", [(0, 0, 33, 10), (0, 0, 10, 33), (-1, 0, 10, 10), (5, 0, 5, 10), (0, 9, 10, 3)]
)
def test_a_box_outside_its_picture_is_refused(table, box):
    boxes = dict(zip(("x1", "y1", "x2", "y2"), ([side] * 20 for side in box), strict=True))
    with pytest.raises(ValueError, match=r"row 1: the box .* ≤ 32 .*images/0\.png \(20 of 20"):
        prepared(table(split=SPLITS, label=classes(20), **boxes))


@pytest.mark.parametrize("suffix", ["tif", "png"])
def test_boxes_are_those_of_the_upright_picture(table, tmp_path, suffix):
    exif = Image.Exif()
    exif[0x0112] = 6
    images = [f"images/{row}.{suffix}" for row in range(20)]
    (tmp_path / "images").mkdir()
    for image in images:
        Image.new("RGB", (40, 10)).save(tmp_path / image, exif=exif)
    boxes = {name: [side] * 20 for name, side in zip(BOX, (0, 0, 10, 40), strict=True)}
    data = prepared(table(image=images, split=SPLITS, label=classes(20), **boxes))
    assert data.train.picture(0).shape == (3, 40, 10)


def test_boxes_in_shares_of_the_picture_are_refused(table):
    boxes = {"x1": [0] * 20, "y1": [0.1] * 20, "x2": [1] * 20, "y2": [0.5] * 20}
    with pytest.raises(ValueError, match=r"row 1: boxes are in pixels, and all .* multiply x by"):
        prepared(table(split=SPLITS, label=classes(20), **boxes))


def test_a_box_is_whole(table):
    with pytest.raises(ValueError, match="has no column y1, x2, y2"):
        prepared(table(split=SPLITS, label=classes(20), x1=[0] * 20))
    with pytest.raises(ValueError, match="a box has four columns"):
        ImageTable("table.csv", box=["x1"])
    with pytest.raises(ValueError, match="a box has four columns"):
        ImageTable("table.csv", box=["x1", "x1", "x2", "y2"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"test_fraction": 7}, "test_fraction must be between 0 and 1; got 7"),
        ({"test_fraction": float("nan")}, "test_fraction must be finite"),
        ({"validation_fraction": -1.0}, "validation_fraction must be between 0 and 1"),
        ({"query_fraction": 1.0}, "query_fraction must be between 0 and 1"),
        ({"fold": (9, 3)}, r"a fold is \[k, n\].*got \[9, 3\]"),
        ({"hold_out": "classes"}, "hold_out must be one of class, image, group"),
    ],
)
def test_fractions_that_no_split_has_are_refused_whatever_columns_say(options, words, unchecked):
    with pytest.raises(ValueError, match=words):
        ImageTable("table.csv", **options)


@pytest.mark.parametrize(
    ("columns", "options", "words"),
    [
        (
            {"label": classes(20), "group": ["g"] * 20},
            {"hold_out": "group"},
            "nothing can be held out by group for test: the 20 images .* are of one group",
        ),
        (
            {"label": classes(20), "group": ["g", "h"] * 10},
            {"hold_out": "group"},
            "nothing can be held out by group for validation: the 10 images",
        ),
        ({"label": ["a"] * 20}, {}, "nothing can be held out by class for test"),
        (
            {"label": classes(20), "split": SPLITS},
            {"query_fraction": 0.01},
            "query_fraction 0.01 of 4 images of val in .* draws no query",
        ),
    ],
)
def test_nothing_to_hold_out(table, columns, options, words):
    with pytest.raises(ValueError, match=words):
        prepared(table(**columns), **options)


def changed(values, row, value):
    return [*values[:row], value, *values[row + 1 :]]


@pytest.mark.parametrize(
    ("columns", "error", "message"),
    [
        ({"split": changed(SPLITS, 2, "tset")}, ValueError, "row 3: split is 'tset', which is non"),
        ({"split": changed(SPLITS, 2, "")}, ValueError, "row 3: split is ''"),
        ({"split": ["train"] * 20}, ValueError, "has no image in the split test: mark some, or"),
        ({"split": ["test"] * 20}, ValueError, "nothing for evaluation|no image in the split"),
        ({"Split": SPLITS}, ValueError, "has no column split; it has image, label, Split"),
        (
            {"split": SPLITS, "role": roles("query", "gallery", "", "gallery")},
            ValueError,
            "1 of 4 images of test in .*table.csv have no role",
        ),
        (
            {"split": SPLITS, "role": roles(*["query"] * 4)},
            ValueError,
            "has queries in the split test, and no gallery",
        ),
        (
            {"image": changed([f"images/{n}.png" for n in range(20)], 3, ""), "split": SPLITS},
            ValueError,
            "row 4: image is empty",
        ),
    ],
)
def test_rows_that_cannot_be_are_refused(table, columns, error, message):
    columns = {"image": columns.get("image"), "label": classes(20), **columns}
    if columns["image"] is None:
        del columns["image"]
    with pytest.raises(error, match=message):
        prepared(table(**columns))


def test_missing_and_empty_images_are_counted(table, tmp_path):
    file = table(split=SPLITS, label=classes(20))
    (tmp_path / "images" / "7.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"1 of 20 .*are empty, first .*7\.png \(.*row 8\)"):
        prepared(file)
    for row in (5, 9):
        (tmp_path / "images" / f"{row}.png").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"2 of 20 image files of .*do not exist, first .*/5\.png \(.*row 6"
    ):
        prepared(file)


def test_backslashes_of_windows_are_read(table):
    file = table(split=SPLITS, label=classes(20))
    replace(file, "/", "\\")
    assert prepared(file).train.files[3].endswith("images/3.png")


def test_what_can_be_held_out_is_said(table):
    file = table(x=range(20), group=[""] * 20)
    with pytest.raises(ValueError, match="labels are not one class an image"):
        prepared(file, Numbers(["x"]), hold_out="class")
    with pytest.raises(ValueError, match="hold_out is group, but 20 of 20 images have no group"):
        prepared(file, Numbers(["x"]), hold_out="group")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"split": ["train"] * 18 + ["val", "test"]}, "val is one image"),
        (
            {"split": SPLITS, "label": [*classes(16), *"wxyz"]},
            "no two images of test are of one class",
        ),
        (
            {"split": SPLITS, "label": [*classes(12), *"vvvv", "x", "x", "class 0", "class 0"]},
            r"1 of 6 classes lie in test and not in train.*: x$",
        ),
        (
            {"split": SPLITS, "label": [*classes(12), *["class 0"] * 8]},
            r"3 of 4 classes lie in train and not in test.*: class 1, class 2, class 3$",
        ),
        (
            {"split": SPLITS, "image": ["images/0.png", *(f"images/{n}.png" for n in range(19))]},
            r"1 of 20 rows of .* same image as another row .* first .*/0\.png \(.*row 2\)",
        ),
        (
            {"split": SPLITS, "image": [*(f"images/{n}.png" for n in range(19)), "images/0.png"]},
            r"images in more than one split.*, 1: .*images/0\.png \(train and test\)",
        ),
    ],
)
def test_what_is_strange_is_said(table, columns, message):
    columns = {"label": classes(20), **columns}
    with pytest.warns(UserWarning, match=message):
        ImageTable(table(**columns), **SMALL).setup("test")


def test_an_ordinary_table_is_not_warned_of(table):
    label = [f"class {row // 2}" for row in range(20)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ImageTable(table(split=SPLITS, label=label), **SMALL).setup("test")


def test_batches_suit_the_labels(table):
    xs = [row % 7 for row in range(20)]
    file = table(label=classes(20), x=xs, labels=["a|b", "b"] * 10, split=SPLITS)
    graded = GradedRelevance(["x"], GradedByAttributes(), "label")
    for labels, kind in (
        (None, PxK),
        (LabelSet(), ShuffledBatches),
        (Numbers(["x"]), NearestBatches),
    ):
        assert isinstance(ImageTable(file, labels).batches, kind)
    assert isinstance(ImageTable(file, graded).batches, TripletBatches)
    batches = {
        None: PxK(4, 2),
        LabelSet(): ShuffledBatches(6),
        Numbers(["x"]): NearestBatches(6, neighbours=2),
        graded: TripletBatches(2),
    }
    for labels, wanted in batches.items():
        data = prepared(file, labels, "fit", batches=wanted)
        batch = next(iter(data.train_dataloader()))
        assert batch.images.dtype == torch.uint8
        assert torch.equal(batch.labels, data.train.labels[batch.index])
    for labels, wrong in (
        (LabelSet(), PxK(2, 2)),
        (None, NearestBatches(4)),
        (Numbers(["x"]), TripletBatches()),
    ):
        with pytest.raises(ValueError, match=f"{type(wrong).__name__} draws"):
            prepared(file, labels, "fit", batches=wrong)


def test_triplets_follow_relevance(table, tmp_path):
    pairs = [
        (f"images/{one}.png", f"images/{other}.png", 1 / (1 + abs(one - other)))
        for one in range(60)
        for other in range(one)
    ]
    write(
        tmp_path / "pairs.csv", ["image,other,relevance", *(",".join(map(str, p)) for p in pairs)]
    )
    splits = ["train"] * 30 + ["val"] * 15 + ["test"] * 15
    labels = PairRelevance(str(tmp_path / "pairs.csv"))
    data = prepared(
        table(split=splits), labels, "fit", batches=TripletBatches(4), query_fraction=0.4
    )
    query, better, worse = data.triplets("val").unbind(1)
    assert len(query) > 5
    assert set(query.tolist()) <= set(data.val[0].indices.tolist())
    assert {*better.tolist(), *worse.tolist()} <= set(data.val[1].indices.tolist())
    assert ((query - better).abs() < (query - worse).abs()).all()
    assert torch.equal(data.triplets("val"), data.triplets("val"))
    drawn = np.array(next(iter(data.train_sampler))).reshape(-1, 3)
    assert (abs(drawn[:, 0] - drawn[:, 1]) < abs(drawn[:, 0] - drawn[:, 2])).all()
    with pytest.raises(ValueError, match="need graded relevance"):
        prepared(table(split=splits, label=classes(60))).triplets("val")


def test_scores_that_tell_nothing_are_warned_of(table):
    of_test = ["x"] * 4
    file = table(split=SPLITS, label=[*classes(16), *of_test])
    with pytest.warns(UserWarning, match="all images of test are of one class: .* will be 1"):
        ImageTable(file, **SMALL).setup("test")
    roles = [""] * 12 + ["query", "gallery"] * 4
    file = table(split=SPLITS, label=[*classes(16), *"abcd"], role=roles)
    with pytest.warns(UserWarning, match="no two images of test .* will be nan"):
        ImageTable(file, **SMALL).setup("test")


@pytest.mark.parametrize("role", ["distractor", "junk"])
def test_training_on_what_is_nothing_is_refused(table, role):
    file = table(split=SPLITS, label=["", *classes(19)], role=[role, *[""] * 19])
    with pytest.raises(ValueError, match="has 1 images in the split train with the role distract"):
        prepared(file)
