"""Reports of runs whose faults are known, read as files and in a browser."""

import csv
import json
import shutil
import sys
from base64 import b64decode
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet
from scipy.stats import binomtest

from ranklight.__main__ import main
from ranklight.running import MetricsFile
from ranklight.serving.index_recall import Measured
from ranklight.serving.report import (
    Nearest,
    confused_classes,
    near_pairs_across,
    nearest_images,
    suspected_labels,
)
from ranklight.serving.report.changed_queries import changed_queries
from ranklight.serving.report.confused_classes import MissedLabel, missed_labels
from ranklight.serving.report.markup import Html, element, table
from ranklight.serving.report.query_scores import QueryScores

CLASSES = ("ant", "bee", "<b>cat</b>")
PER_CLASS = 8
SPLITS = ["train"] * 4 + ["test"] * 4
WRONG, COPIED, COPY = 5, 0, 12  # a bee labelled ant; an ant of train that is a bee of test
BROWSER, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")


class World:
    """Pictures of three classes, their vectors, and two runs that scored the test's."""

    def __init__(self, root):
        self.root = root
        draw = np.random.default_rng(0)
        self.labels = np.repeat(CLASSES, PER_CLASS)
        self.splits = np.tile(SPLITS, len(CLASSES))
        self.files = [f"images/{place}.png" for place in range(len(self.labels))]
        vectors = np.repeat(np.eye(3, 4), PER_CLASS, axis=0) + draw.normal(0, 0.05, (24, 4))
        vectors[WRONG] = vectors[13] + 0.01
        vectors[COPY] = vectors[COPIED]
        self.vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        (root / "images").mkdir()
        for file in self.files:
            pixels = draw.integers(0, 256, (6, 6, 3), dtype=np.uint8)
            Image.fromarray(pixels).resize((48, 60), Image.Resampling.BICUBIC).save(root / file)
        with Image.open(root / self.files[COPIED]) as picture:
            picture.resize((40, 50)).save(root / self.files[COPY])
        self.embeddings = self.embed("vectors.parquet")
        self.tested = np.flatnonzero(self.splits == "test")
        hits = np.ones(len(self.tested))
        hits[[1, 4]] = 0
        self.old = self.run("old", hits, "0123")
        hits = np.ones(len(self.tested))
        hits[[1, 2, 3]] = 0
        self.new = self.run("new", hits, "0123")

    def embed(self, name, dropped=(), **columns):
        count = len(self.files) + 1
        values = {
            "file": [*self.files, "images/broken.png"],
            "embedding": pa.array([*self.vectors.tolist(), None], pa.list_(pa.float32(), 4)),
            "error": [None] * (count - 1) + ["it is cut off"],
            "label": [*self.labels, "ant"],
            "split": [*self.splits, "test"],
            **columns,
        }
        for column in dropped:
            values.pop(column)
        about = {"encoder": "abc", "run": "small/new", "normalised": True, "threshold": None}
        rows = pa.table(values).replace_schema_metadata({"ranklight": json.dumps(about)})
        parquet.write_table(rows, self.root / name)
        return self.root / name

    def run(self, name, hits, split_hash):
        run = self.root / "runs" / "small" / name
        (run / "scores").mkdir(parents=True)
        log = MetricsFile(run)
        for step in range(5):
            log.log_metrics({"train/loss": 2.0 - step / 4, "val/recall@1": step / 10}, step)
        log.log_metrics({"test/recall@1": float(hits.mean())}, 4)
        record = {
            "stage": "test",
            "outcome": "finished",
            "command": "ranklight test -c x.yaml",
            "started": "2026-01-01T00:00:00+00:00",
            "ended": "2026-01-01T00:01:30+00:00",
            "git": {"commit": "f" * 40, "dirty": False},
            "versions": {"torch": "2.11"},
            "split_hash": split_hash,
            "scores": {"test/recall@1": float(hits.mean()), "test/map@r": None},
        }
        (run / "run.json").write_text(json.dumps({"stages": [record]}))
        (run / "config.yaml").write_text("experiment: small # <script>\n")
        rows = {
            "id": self.tested,
            "class": np.repeat([0, 1, 2], 4),
            "recall@1": hits,
            "map@r": hits * 0.5 + np.arange(len(hits)) / 100,
            "file": [self.files[row] for row in self.tested],
            "class_name": self.labels[self.tested],
        }
        parquet.write_table(pa.table(rows), run / "scores" / "test.parquet")
        means = {"class": [0, 1, 2], "queries": [4] * 3, "recall@1": [0.25, 1.0, 0.75]}
        parquet.write_table(pa.table(means), run / "scores" / "test-classes.parquet")
        return run


class Page(HTMLParser):
    """What is on a page, by section; refuses what is not closed."""

    def __init__(self, file):
        super().__init__()
        self.words, self.pictures, self.open, self.tags, self.ids = {}, {}, [], [], []
        self.section = ""
        self.feed(file.read_text(encoding="utf-8"))
        assert not self.open

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.tags.append((tag, values))
        self.ids += [values["id"]] if "id" in values else []
        if tag == "section":
            self.section = values["id"]
        if tag == "img":
            self.pictures.setdefault(self.section, []).append(values)
        if tag not in ("img", "meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words[self.section] = self.words.get(self.section, "") + data


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World(tmp_path_factory.mktemp("report"))


def report(world, monkeypatch, *arguments, output="report"):
    monkeypatch.chdir(world.root)
    words = ["ranklight", "report", *map(str, arguments), "--output", output]
    monkeypatch.setattr(sys, "argv", words)
    main()
    return world.root / output


def refused(world, monkeypatch, capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        report(world, monkeypatch, *arguments)
    assert ended.value.code == 2
    return capsys.readouterr().err


def rows(file):
    with file.open(newline="") as opened:
        return list(csv.DictReader(opened))


@pytest.fixture(scope="module")
def written(world):
    with pytest.MonkeyPatch.context() as patch:
        index = world.root / "index"
        index.mkdir()
        line = Measured("exact", 16.0, 1.0, 10, 0.02)
        facts = {"version": "version-0", "encoder": "abc", "run": "small/new", "rows": 24}
        facts |= {"dimensions": 4, "measured": [line._asdict()], "root": str(world.root)}
        facts |= {"normalised": True, "threshold": None, "layout": {}}
        (index / "index.json").write_text(json.dumps(facts))
        options = ["--embeddings", world.embeddings, "--index", index, "--fiftyone"]
        options += ["--shown", 3, "--neighbours", 4, "--cosine", 0.999]
        return report(world, patch, world.old, world.new, *options)


@pytest.fixture(scope="module")
def page(written):
    return Page(written / "index.html")


def test_every_section_is_there_and_nothing_comes_from_elsewhere(page, written):
    headings = [tag for tag, _ in page.tags if tag in ("h1", "h2")]
    assert headings == ["h1"] + ["h2"] * 9
    assert len(page.ids) == len(set(page.ids))
    targets = [values["href"] for tag, values in page.tags if tag == "a"]
    assert all(target[1:] in page.ids or (written / target).exists() for target in targets)
    assert not [tag for tag, _ in page.tags if tag in ("script", "link", "iframe")]
    assert all(values["src"].startswith("data:image/jpeg") for values in every_picture(page))
    assert "missing" not in [values.get("class") for _, values in page.tags]


def every_picture(page):
    return [values for of in page.pictures.values() for values in of]


def test_what_comes_from_data_is_text(page, written):
    text = (written / "index.html").read_text()
    assert "<b>cat</b>" not in text
    assert "&lt;b&gt;cat&lt;/b&gt;" in text
    assert "experiment: small # <script>" in page.words["provenance"]


def test_pictures_and_tables_are_named_and_numbers_stand_beside_both_runs(page):
    assert all(values["alt"] for values in every_picture(page))
    tables = [place for place, (tag, _) in enumerate(page.tags) if tag == "table"]
    assert tables
    assert all(page.tags[place + 1][0] == "caption" for place in tables)
    assert "test/recall@10.83330.75-0.08333larger" in page.words["summary"]
    assert "small/old: 5 values, 2 first, 1 last" in page.words["curves"]
    assert "0:01:30" in page.words["provenance"]
    assert "it is cut off" in page.words["provenance"]
    assert "layoutbytes a vectorrecallkms a queryexact161100.02" in page.words["indices"]


def test_the_worst_query_stands_first_with_its_neighbours(page, world):
    first, *beside = page.pictures["worst"][:6]
    assert first["alt"].startswith(f"{world.files[WRONG]}: query, ant, recall@1 0, map@r 0.01")
    nearest = nearest_images(world.vectors[world.tested].astype(np.float32), None, 5, "")
    for picture, place in zip(beside, nearest.rows[1], strict=True):
        assert picture["alt"].startswith(world.files[world.tested[place]])
    assert "wrong" in page.words["worst"]


def test_fixed_and_broken_queries_are_counted_and_shown(page, written, world):
    assert [row["query"] for row in rows(written / "fixed.csv")] == [world.files[12]]
    broken = [world.files[world.tested[place]] for place in (2, 3)]
    assert sorted(row["query"] for row in rows(written / "broken.csv")) == sorted(broken)
    words = page.words["changes"]
    assert "better1worse2the same9" in words
    assert "with probability 1 (sign test; for scores of 0 and 1 McNemar's)" in words
    shown = [values["alt"].split(":")[0] for values in page.pictures["changes"]]
    assert shown[::6] == [world.files[12], *(row["query"] for row in rows(written / "broken.csv"))]


def test_the_wrong_label_is_found_and_what_is_right_is_not(page, written, world):
    found = rows(written / "suspected_labels.csv")
    proposed = {of["file"]: (of["label"], of["proposed"]) for of in found}
    assert proposed == {world.files[WRONG]: ("ant", "bee"), world.files[COPY]: ("bee", "ant")}
    assert page.pictures["labels"][0]["alt"].startswith(f"{found[0]['file']}: labelled")


def test_the_copy_in_another_split_is_found(page, written, world):
    first = rows(written / "near_duplicates.csv")[0]
    assert {first["first"], first["second"]} == {world.files[COPIED], world.files[COPY]}
    assert int(first["bits"]) <= 4
    assert float(first["cosine"]) == pytest.approx(1)
    assert "1 of them look the same" in page.words["copies"]


def test_a_box_is_shown_without_what_is_around_it(world, monkeypatch):
    places = range(len(world.files) + 1)
    sides = {"x1": [4] * len(places), "y1": [8] * len(places)}
    sides |= {"x2": [4 + 2 * (place + 1) for place in places], "y2": [40] * len(places)}
    vectors = world.embed("boxes.parquet", **sides)
    options = ("--embeddings", vectors, "--cosine", 0.999, "--neighbours", 4)
    folder = report(world, monkeypatch, world.new, *options, output="boxes")
    shown = Page(folder / "index.html").pictures["labels"][0]
    place = world.files.index(shown["alt"].split(":")[0])
    with Image.open(BytesIO(b64decode(shown["src"].split(",")[1]))) as picture:
        assert picture.size == (2 * (place + 1), 32)


def test_classes_are_counted_as_they_are_taken_for_others(page, written, world):
    found = {
        (of["class"], of["taken for"]): int(of["count"])
        for of in rows(written / "confused_classes.csv")
    }
    assert found == taken_for(world)
    assert "ant taken for bee" in page.words["classes"]
    assert "Classes that score least by recall@1classqueriesrecall@1040.25" in page.words["classes"]


def taken_for(world):
    """Counted in plain loops."""
    found = {}
    for one in world.tested:
        others = [other for other in world.tested if other != one]
        nearest = min(
            others, key=lambda other: np.sum((world.vectors[one] - world.vectors[other]) ** 2)
        )
        if world.labels[one] != world.labels[nearest]:
            pair = world.labels[one], world.labels[nearest]
            found[pair] = found.get(pair, 0) + 1
    return found


def test_fiftyone_gets_an_image_a_sample_with_all_that_was_found(written, world):
    said = json.loads((written / "fiftyone" / "metadata.json").read_text())
    assert "version" not in said  # by which FiftyOne knows the format
    samples = json.loads((written / "fiftyone" / "samples.json").read_text())["samples"]
    assert [sample["filepath"] for sample in samples] == [
        str(world.root / file) for file in world.files
    ]
    wrong = samples[WRONG]
    assert set(wrong["tags"]) == {"worst", "suspected_label"}
    assert wrong["ground_truth"] == {"_cls": "Classification", "label": "ant"}
    assert wrong["proposed"] == {"_cls": "Classification", "label": "bee", "confidence": 1.0}
    assert wrong["score_recall_1"] == 0
    assert {"fixed", "same_picture"} <= set(samples[COPY]["tags"])
    vectors = np.load(written / "fiftyone" / "vectors.npy")
    np.testing.assert_allclose(vectors, world.vectors, rtol=1e-6)


def test_what_is_missing_is_named_with_the_command_that_makes_it(world, monkeypatch):
    run = world.root / "runs" / "small" / "bare"
    run.mkdir()
    (run / "config.yaml").write_text("experiment: small\n")
    page = Page(report(world, monkeypatch, run, output="bare") / "index.html")
    commands = {
        "summary": "ranklight test -c",
        "curves": "ranklight fit -c",
        "worst": "ranklight test -c",
        "classes": "ranklight embed",
        "labels": "ranklight embed",
        "copies": "ranklight embed",
        "indices": "ranklight index",
        "provenance": "ranklight fit -c",
    }
    assert {
        name: command in page.words[name] for name, command in commands.items()
    } == dict.fromkeys(commands, True)


def test_splits_come_from_what_was_scored_where_no_column_says_them(world, monkeypatch):
    vectors = world.embed("unsplit.parquet", ["split"])
    options = ["--embeddings", vectors, "--cosine", 0.999]
    written = report(world, monkeypatch, world.new, *options, output="unsplit")
    first = rows(written / "near_duplicates.csv")[0]
    assert {first["first"], first["second"]} == {world.files[COPIED], world.files[COPY]}
    assert "not scored 12, test 12" in Page(written / "index.html").words["copies"]


def test_files_are_found_below_the_folder_of_images(world, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    names = [Path(file).name for file in world.files]
    vectors = world.embed("by_name.parquet", file=[*names, "broken.png"])
    words = [
        "ranklight",
        "report",
        str(world.new),
        "--output",
        "page",
        "--embeddings",
        str(vectors),
    ]
    options = ["--images", str(world.root / "images")]
    monkeypatch.setattr(sys, "argv", [*words, *options])
    main()
    page = Page(tmp_path / "page" / "index.html")
    assert len(page.pictures["labels"]) == 2
    assert "no picture: images/5.png is not there" in page.words["worst"]


def test_sets_of_labels_are_counted_as_they_are_missed_and_given_in_vain():
    truth, decided = [{"a", "b"}, {"a"}, set()], [{"a"}, {"c"}, {"c"}]
    assert missed_labels(truth, decided) == [
        MissedLabel("c", 0, 0, 2),
        MissedLabel("a", 2, 1, 0),
        MissedLabel("b", 1, 1, 0),
    ]


def test_small_classes_are_asked_as_few_neighbours_as_they_have_members():
    # Three of class b among many of class a: their third nearest is an a, which is no fault.
    places = np.concatenate([np.linspace(0, 1, 20), [1.2, 1.21, 1.22], [3.0]])
    classes = ["a"] * 20 + ["b"] * 3 + ["c"]
    nearest = nearest_images(places[:, None].astype(np.float32), None, 10, "")
    assert suspected_labels(classes, nearest) == []
    moved = [*classes[:10], "b", *classes[11:]]
    (suspect,) = suspected_labels(moved, nearest)
    assert suspect[:5] == (10, "b", "a", 1.0, 3)


def test_confusion_is_of_the_nearest_alone():
    nearest = Nearest(np.array([[1, 2], [0, 2], [1, 0]]), np.array([[0.9, 0], [0.9, 0], [0.5, 0]]))
    (pair,) = confused_classes(["a", "a", "b"], nearest)
    assert pair == ("b", "a", 1, 1, [2])


def test_copies_are_by_cosine_whatever_the_length_of_vectors():
    vectors = np.array([[1, 0], [0, 3], [5, 0.1]], np.float32)
    (pair,) = near_pairs_across(vectors, ["train", "train", "test"], 0.99)
    # test comes before train by name
    assert pair[:2] == (2, 0)
    assert pair.cosine == pytest.approx(5 / np.hypot(5, 0.1))


def test_smaller_is_better_where_it_is(tmp_path):
    for name, values in (("one", [0.1, 0.5, 0.2]), ("two", [0.1, 0.3, 0.6])):
        scores = {"id": [3, 1, 2], "label_distance@1": values, "label_distance@1/chance": [9.0] * 3}
        parquet.write_table(pa.table(scores), tmp_path / f"{name}.parquet")
    one, two = (QueryScores(tmp_path / f"{name}.parquet") for name in ("one", "two"))
    assert one.score == "label_distance@1"
    assert one.ids[one.worst_first()].tolist() == [1, 2, 3]
    found = changed_queries(one, two)
    assert two.ids[found.after[found.fixed]].tolist() == [1]
    assert two.ids[found.after[found.broken]].tolist() == [2]
    assert found.p_value == binomtest(1, 2).pvalue == 1


def test_what_is_no_markup_is_escaped():
    assert element("p", "<", Html("<b>"), title='"') == '<p title="&quot;">&lt;<b></p>'
    assert '<th scope="row">&amp;</th>' in table("t", ["a"], [["&"]])


@pytest.fixture(scope="module")
def faulty_runs(world):
    """Copies of a run, each with one fault, and vectors of which one is not finite."""
    runs = world.new.parent
    for name in ("unscored", "damaged", "words", "latin", "steps"):
        shutil.copytree(world.new, runs / name)
    shutil.rmtree(runs / "unscored" / "scores")
    (runs / "damaged" / "scores" / "test.parquet").write_bytes(b"x")
    words = pa.table({"id": [1], "recall@1": ["good"]})
    parquet.write_table(words, runs / "words" / "scores" / "test.parquet")
    (runs / "latin" / "config.yaml").write_bytes(b"\xe9: 1")
    (runs / "steps" / "metrics.csv").write_text("step,train/loss\nx,y\n")
    vectors = world.vectors.copy()
    vectors[0, 0] = np.inf
    kind = pa.list_(pa.float32(), 4)
    world.embed("infinite.parquet", embedding=pa.array([*vectors.tolist(), None], kind))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["runs/small"], "a report needs the directory of a run"),
        (["runs/small/new", "--embeddings", "none.parquet"], "there is no file of"),
        (["runs/small/new", "--embeddings", "images/0.png"], "images/0.png"),
        (["runs/small/new", "--index", "images"], "images"),
        (["runs/small/new", "--score", "recall@3"], "it has recall@1, map@r"),
        (["runs/small/new", "--shown", "0"], "--shown is 1 or more, not 0"),
        (["runs/small/new", "--agreement", "0.5"], "--agreement is a share above 0.5"),
        (["runs/small/new", "--stage", "val"], "has no scores of val; it has test"),
        (["runs/small/new", "--images", "none"], "--images must be a folder"),
        (["runs/small/new", "runs/small/new"], "is given twice"),
        (["runs/small/new", "--embeddings", "vectors.parquet", "vectors.parquet"], "given twice"),
        (
            ["runs/small/new", "--embeddings", "infinite.parquet"],
            "of images/0.png is not finite",
        ),
        (["runs/small/unscored", "--score", "map@r"], "--score map@r needs scores of queries"),
        (["runs/small/damaged"], "test.parquet is no Parquet file that can be read: test the run"),
        (["runs/small/words"], "must have numbers in the column recall@1"),
        (["runs/small/latin"], "config.yaml must be text in UTF-8"),
        (["runs/small/steps"], "metrics.csv must hold steps and numbers"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(
    world, faulty_runs, monkeypatch, capsys, options, sentence
):
    said = refused(world, monkeypatch, capsys, *options)
    assert sentence in said
    assert len(said.strip().splitlines()) == 1


def test_a_page_that_is_no_report_is_not_replaced(world, monkeypatch, capsys):
    own = world.root / "own" / "index.html"
    own.parent.mkdir()
    own.write_text("mine")
    with pytest.raises(SystemExit, match="2"):
        report(world, monkeypatch, world.new, output="own")
    assert "is no report and is not replaced" in capsys.readouterr().err
    assert own.read_text() == "mine"
    for _ in range(2):
        report(world, monkeypatch, world.new, output="twice")


def test_a_query_that_is_a_box_is_shown_as_one_beside_its_own_neighbours(world, monkeypatch):
    run = world.root / "runs" / "small" / "in_boxes"
    shutil.copytree(world.new, run)
    scores = parquet.read_table(run / "scores" / "test.parquet").to_pydict()
    count = len(scores["id"])
    sides = {"x1": [4] * count, "y1": [8] * count, "y2": [40] * count}
    sides["x2"] = [4 + 2 * (place + 1) for place in range(count)]
    scores |= {"file": [world.files[-1]] * count, **sides}
    parquet.write_table(pa.table(scores), run / "scores" / "test.parquet")
    files = {name: [*values, 40] for name, values in sides.items()}
    file = write_vectors(world, [world.files[-1]] * count + ["images/broken.png"], files)
    folder = report(world, monkeypatch, run, "--embeddings", file, "--fiftyone", output="in_boxes")
    queries = [
        shown
        for shown in Page(folder / "index.html").pictures["worst"]
        if ": query" in shown["alt"]
    ]
    wide = []
    for shown in queries:
        with Image.open(BytesIO(b64decode(shown["src"].split(",")[1]))) as picture:
            assert picture.height == 32
            wide.append(picture.width)
    assert sorted(wide) == [2 * (place + 1) for place in range(count)]
    assert len({row["query"] for row in rows(folder / "queries.csv")}) == count
    samples = json.loads((folder / "fiftyone" / "samples.json").read_text())["samples"]
    assert [sample["box"][2] for sample in samples] == sides["x2"]


def write_vectors(world, files, columns):
    """Vectors of the test's images under other names; the last is broken."""
    vectors = [*world.vectors[world.tested].tolist(), None]
    return world.embed(
        "in_boxes.parquet",
        file=files,
        embedding=pa.array(vectors, pa.list_(pa.float32(), 4)),
        error=[None] * (len(files) - 1) + ["it is cut off"],
        label=[*world.labels[world.tested], "ant"],
        split=["testing"] * len(files),
        **columns,
    )


def test_runs_of_other_data_are_not_compared(world, monkeypatch, capsys):
    other = world.root / "runs" / "small" / "elsewhere"
    shutil.copytree(world.new, other)
    scores = parquet.read_table(other / "scores" / "test.parquet").to_pydict()
    scores["file"] = [f"elsewhere/{name}" for name in scores["file"]]
    parquet.write_table(pa.table(scores), other / "scores" / "test.parquet")
    assert "no query of test in common" in refused(world, monkeypatch, capsys, world.old, other)


@pytest.fixture
def browser():
    if not (BROWSER.exists() and DRIVER.exists()):
        pytest.skip(f"wants a browser: apt install chromium chromium-driver ({BROWSER}, {DRIVER})")
    selenium = pytest.importorskip("selenium", reason="wants pip install selenium")
    del selenium
    from selenium.webdriver import Chrome, ChromeOptions, ChromeService

    options = ChromeOptions()
    options.binary_location = str(BROWSER)
    for word in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "disable-gpu"):
        options.add_argument(f"--{word}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options, ChromeService(str(DRIVER)))
    yield driver
    driver.quit()


def test_a_browser_shows_it_at_the_width_of_a_phone_and_in_the_dark(browser, written):
    size = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get((written / "index.html").as_uri())
    run = browser.execute_script
    assert run("return document.documentElement.scrollWidth") <= 360
    decoded = run("return [...document.images].map(i => i.naturalWidth)")
    assert len(decoded) > 30
    assert min(decoded) > 0
    background = "return getComputedStyle(document.body).backgroundColor"
    assert run(background) == "rgb(255, 255, 255)"
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    assert run(background) == "rgb(21, 24, 28)"
    browser.find_element("css selector", "nav a[href='#labels']").click()
    assert run("return document.querySelector('#labels').getBoundingClientRect().top") < 740
    lines = run("return [...document.querySelectorAll('polyline')].map(l => l.getBBox().width)")
    assert len(lines) == 4
    assert min(lines) > 100
    assert not [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
