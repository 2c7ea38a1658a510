"""`ranklight doctor` on a healthy folder, and on one with every fault in it."""

import json
import sys

import pytest
import yaml
from PIL import Image

from ranklight.__main__ import main
from tests import trees
from tests.commands.command_line import part
from tests.datamodules.examination.drawn import drawn

SPLITS = {"train": "abcdef", "val": "ghi", "test": "jkl"}


def configuration(root, **data):
    return {
        "model": part(
            "ranklight.lightning_modules.MetricLearning",
            encoder=part(
                "ranklight.models.Encoder",
                trunk=part("ranklight.models.SmallConvNet", in_channels=3, width=8),
                embedding_dim=16,
            ),
            objective=part(
                "ranklight.pairs.Objective", loss=part("ranklight.losses.MultiSimilarityLoss")
            ),
            optimizer=part("torch.optim.SGD", lr=0.1),
        ),
        "data": part(
            "ranklight.datamodules.ImageFolder",
            root=str(root),
            classes_per_batch=4,
            samples_per_class=2,
            image_size=32,
            **data,
        ),
        "trainer": {"max_epochs": 3},
        "callbacks": {"evaluation": part("ranklight.callbacks.RetrievalEvaluation", ks=[1, 2])},
    }


@pytest.fixture
def folder(tmp_path):
    """Four pictures of each class, all different."""
    seeds = iter(range(1000))
    for split, classes in SPLITS.items():
        for label in classes:
            (tmp_path / "data" / split / label).mkdir(parents=True)
            for number in range(4):
                image = drawn(next(seeds), (80, 60))
                image.save(tmp_path / "data" / split / label / f"{number}.png")
    return tmp_path / "data"


@pytest.fixture
def doctor(tmp_path, monkeypatch, capsys):
    """`doctor(configuration, *options)` -> exit code, what stdout and stderr had."""
    monkeypatch.chdir(tmp_path)

    def call(content, *options):
        (tmp_path / "small.yaml").write_text(yaml.safe_dump(content))
        monkeypatch.setattr(sys, "argv", ["ranklight", "doctor", "-c", "small.yaml", *options])
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code
        said = capsys.readouterr()
        return code, " ".join(said.out.split()), said.err

    return call


@pytest.fixture
def report(doctor):
    """The same as what `--json` holds, with the exit code."""

    def call(content, *options):
        code, out, error = doctor(content, "--json", "true", *options)
        assert out, error
        return code, json.loads(out)

    return call


def sentences(tree, level):
    return {each["sentence"]: each["names"] for each in tree["findings"] if each["level"] == level}


def the(found, words):
    """The names of the one sentence with these words."""
    (sentence,) = [sentence for sentence in found if words in sentence]
    return found[sentence]


def test_a_healthy_folder_has_neither_errors_nor_warnings(folder, doctor, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    code, page, error = doctor(configuration(folder))
    assert code == 0, page + error
    assert "0 errors, 0 warnings" in page
    for words in ("train 24 6 4 4 4", "no picture is a copy", "val/recall@1", "SmallConvNet"):
        assert words in page
    assert sorted(set(tmp_path.rglob("*")) - set(before)) == [tmp_path / "small.yaml"]


def test_the_page_is_80_columns_wide(folder, monkeypatch, capsys, tmp_path):
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(configuration(folder)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["ranklight", "doctor", "-c", "small.yaml"])
    main()
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert not [line for line in lines if "…" in line]


def test_broken_pictures_are_errors_and_all_are_named(folder, report):
    cut, text = folder / "val" / "g" / "0.jpg", folder / "train" / "b" / "text.jpg"
    drawn(500).save(cut, quality=95)
    cut.write_bytes(cut.read_bytes()[:-3000])
    text.write_text("no picture")
    code, tree = report(configuration(folder))
    assert code == 1
    names = the(sentences(tree, "error"), "2 of 50 pictures cannot be read")
    assert [str(text) in names[0], str(cut) in names[1]] == [True, True]
    assert {row["split"]: row["broken"] for row in tree["facts"]["pictures"]} == {
        "train": 1,
        "val": 1,
        "test": 0,
    }
    assert tree["facts"]["training"][0]["steps_an_epoch"] == 3


def test_odd_pictures_and_copies_are_warned_of(folder, report):
    train, test = folder / "train", folder / "test"
    Image.new("RGB", (64, 64), "white").save(train / "a" / "white.png")
    drawn(600, (9, 40)).save(train / "a" / "tiny.png")
    drawn(601, (400, 60)).save(train / "b" / "long.png")
    (test / "j" / "same.png").write_bytes((train / "c" / "0.png").read_bytes())
    (train / "e" / "same.png").write_bytes((train / "d" / "1.png").read_bytes())
    with Image.open(train / "f" / "2.png") as image:
        image.resize((120, 90)).save(test / "k" / "near.jpg", quality=70)
    code, tree = report(configuration(folder))
    warned = sentences(tree, "warning")
    assert code == 0
    assert the(warned, "one colour") == [str(train / "a" / "white.png")]
    assert the(warned, "shorter than 16") == [str(train / "a" / "tiny.png")]
    assert the(warned, "times as long") == [str(train / "b" / "long.png")]
    assert the(warned, "exact copies of one in another split") == [
        f"{test}/j/same.png (test) is {train}/c/0.png (train)"
    ]
    assert f"{train}/e/same.png (train) is {train}/d/1.png (train)" in the(
        warned, "exact copies of one with other labels"
    )
    assert the(warned, "look like one in another split") == [
        f"{test}/k/near.jpg (test) is {train}/f/2.png (train)"
    ]


def test_classes(folder, report):
    for number in (1, 2, 3):
        (folder / "train" / "b" / f"{number}.png").unlink()
    (folder / "val" / "a").mkdir()
    drawn(700).save(folder / "val" / "a" / "0.png")
    code, tree = report(configuration(folder))
    assert code == 0
    assert the(sentences(tree, "warning"), "3 classes of val are not in train") == ["g", "h", "i"]
    assert the(sentences(tree, "warning"), "fewer than 2 images in train") == ["b"]
    assert "1 of 13 images of val have none of their class to find: they are no queries" in (
        sentences(tree, "note")
    )
    rows = {row["split"]: row for row in tree["facts"]["labels"]}
    assert (rows["train"]["least"], rows["train"]["most"]) == (1, 4)
    assert rows["train"]["images_a_class"] == [
        {"from": 1, "to": 1, "classes": 1},
        {"from": 2, "to": 3, "classes": 0},
        {"from": 4, "to": 7, "classes": 5},
    ]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--best.monitor", "val/recall@3"], "val/recall@3 is monitored"),
        (["--data.classes_per_batch", "7"], "there are only 6 classes"),
        (
            [
                "--model.init_args.lr_scheduler",
                '{"class_path": "torch.optim.lr_scheduler.OneCycleLR", '
                '"init_args": {"max_lr": 0.1, "total_steps": 4}}',
                "--model.init_args.lr_interval",
                "step",
            ],
            "OneCycleLR needs a total_steps of at least the run's 9 steps",
        ),
    ],
)
def test_what_fit_refuses_is_an_error_beside_all_others(folder, report, options, words):
    (folder / "test" / "j" / "text.png").write_text("no picture")
    code, tree = report(configuration(folder), *options)
    assert code == 1
    the(sentences(tree, "error"), words)
    the(sentences(tree, "error"), "cannot be read")


def test_a_schedule_that_is_longer_than_the_run(folder, report):
    schedule = {
        "class_path": "torch.optim.lr_scheduler.CosineAnnealingLR",
        "init_args": {"T_max": 9},
    }
    code, tree = report(
        configuration(folder), "--model.init_args.lr_scheduler", json.dumps(schedule)
    )
    assert code == 0
    the(sentences(tree, "warning"), "CosineAnnealingLR is 9 epochs long and the run has 3")


def test_a_folder_that_is_not_there(tmp_path, doctor):
    code, page, _ = doctor(configuration(tmp_path / "none"))
    assert code == 1
    assert "does not exist" in page


def test_what_cannot_be_built_is_no_diagnosis(folder, doctor):
    code, page, error = doctor({**configuration(folder), "mode": 1})
    assert (code, page) == (2, "")
    assert "mode" in error


def test_json_beside_the_page(folder, doctor, tmp_path):
    code, page, _ = doctor(configuration(folder), "--json", "report.json")
    tree = json.loads((tmp_path / "report.json").read_text())
    assert code == 0
    assert "0 errors" in page
    assert list(tree) == ["ranklight", "errors", "warnings", "findings", "facts"]
    assert list(tree["facts"]) == [
        "found", "pictures", "copies", "labels", "training", "memory", "network", "machine",
    ]  # fmt: skip
    memory = {row["what"]: row["bytes"] for row in tree["facts"]["memory"]}
    assert memory["embeddings of val"] == 12 * 16 * 4
    network = {row["part"]: row for row in tree["facts"]["network"]}
    assert network["encoder.projection"]["learning"] == 32 * 16 + 16


def test_digits_have_no_files(doctor):
    content = configuration("none")
    content["data"] = part("ranklight.datamodules.Digits", classes_per_batch=5)
    content["model"]["init_args"]["encoder"]["init_args"]["trunk"]["init_args"] = {"width": 8}
    code, page, _ = doctor(content)
    assert code == 0
    assert "drawn, not read: there are no files" in page


def test_what_the_data_module_found_is_on_the_page(tmp_path, report):
    trees.birds(tmp_path / "birds")
    content = configuration("none")
    content["data"] = part(
        "ranklight.datamodules.CUB200",
        root=str(tmp_path / "birds"),
        classes_per_batch=2,
        samples_per_class=2,
        image_size=32,
        check_counts=False,
    )
    _, tree = report(content)
    the(sentences(tree, "note"), "CUB200: train ")


@pytest.mark.parametrize("checked", [True, False])
def test_fit_looks_at_headers_before_its_first_step(folder, tmp_path, monkeypatch, capsys, checked):
    (folder / "test" / "j" / "text.png").write_text("no picture")
    monkeypatch.chdir(tmp_path)
    content = {**configuration(folder), "trainer": {"max_steps": 1}}
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(content))
    options = ["--data.num_workers", "0", "--check_images", str(checked).lower(), "--run", "a"]
    monkeypatch.setattr(sys, "argv", ["ranklight", "fit", "-c", "small.yaml", *options])
    monkeypatch.setenv("RANKLIGHT_RUN", "restored when the patch is undone")
    monkeypatch.delenv("RANKLIGHT_RUN")
    if not checked:
        main()
        assert (tmp_path / "runs" / "small" / "a" / "checkpoints" / "last.ckpt").is_file()
        return
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert f"1 of 49 image files cannot be read, first: {folder}/test/j/text.png" in (
        capsys.readouterr().err
    )
