"""`ranklight index` and `ranklight search` on pictures of one colour each."""

import json
import sys
from io import BytesIO

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from ranklight.__main__ import main
from ranklight.serving.image_index import ImageIndex
from ranklight.serving.picture_search import PictureSearch
from tests.serving.coloured_pictures import (
    ColourModel,
    colours_of,
    draw_pictures,
    unit,
    write_embeddings,
)


def ranklight(*words):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["ranklight", *map(str, words)])
        main()


def refused(capsys, *words):
    with pytest.raises(SystemExit) as ended:
        ranklight(*words)
    assert ended.value.code == 2
    return capsys.readouterr().err


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("colours")


@pytest.fixture(scope="module")
def files(folder):
    return draw_pictures(folder / "pictures")


@pytest.fixture(scope="module")
def embeddings(folder, files):
    labels = [file.stem.split("-")[0] for file in files]
    return write_embeddings(folder / "all.parquet", files, list(colours_of(files)), label=labels)


@pytest.fixture
def index(folder, embeddings, tmp_path, monkeypatch):
    monkeypatch.setattr("ranklight.serving.trained_model.load", lambda run, device: ColourModel())
    ranklight("index", "runs/colours", "--embeddings", embeddings, "--output", tmp_path / "index")
    return tmp_path / "index"


@pytest.fixture
def model(monkeypatch):
    monkeypatch.setattr("ranklight.serving.queries.load", lambda run: ColourModel())


def searched(capsys, *words):
    capsys.readouterr()
    ranklight("search", *words, "--json")
    return json.loads(capsys.readouterr().out)


def test_an_image_finds_those_of_its_colour(index, files, model, capsys):
    (answer,) = searched(capsys, index, files[0], "-k", "4")
    assert answer["query"] == str(files[0])
    found = answer["found"]
    assert [image["file"] for image in found[:3]] == [str(file) for file in files[:3]]
    assert [image["same"] for image in found] == [True, True, True, False]
    cosines = colours_of(files[:1]) @ colours_of(files[:3]).T
    np.testing.assert_allclose([image["similarity"] for image in found[:3]], cosines[0], atol=1e-6)
    for image in found:
        assert image["distance"] ** 2 == pytest.approx(2 - 2 * image["similarity"], abs=1e-6)


def test_a_folder_is_as_many_queries(index, files, model, capsys):
    answers = searched(capsys, index, files[0].parent, "-k", "1")
    assert [answer["query"] for answer in answers] == [str(file) for file in files]
    assert all(answer["found"][0]["file"] == answer["query"] for answer in answers)


def test_a_row_finds_others_without_the_model(index, files, capsys):
    (answer,) = searched(capsys, index, "--rows", "4", "-k", "2")
    assert answer["query"] == str(files[4])
    assert {image["file"] for image in answer["found"]} == {str(files[3]), str(files[5])}


def test_embeddings_are_queries(index, embeddings, files, capsys):
    answers = searched(capsys, index, embeddings, "-k", "1")
    assert [answer["found"][0]["file"] for answer in answers] == [str(file) for file in files]


def test_a_threshold_in_place_of_the_stored_one(index, capsys):
    (answer,) = searched(capsys, index, "--rows", "0", "-k", "11", "--threshold", "-1")
    assert all(image["same"] for image in answer["found"])


def test_a_table_that_is_read(index, files, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    ranklight("search", index, "--rows", "0", "-k", "3")
    told = capsys.readouterr().out
    assert "distance" in told
    assert told.count("yes") == 2
    assert max(map(len, told.splitlines())) <= 80


def test_a_sheet_shows_what_was_found_and_what_is_gone(index, folder, tmp_path, model):
    query = tmp_path / "query.png"
    Image.new("RGB", (40, 20), (225, 35, 30)).save(query)
    sheet = tmp_path / "sheets" / "found.png"
    gone = folder / "pictures" / "red-1.png"
    content = gone.read_bytes()
    gone.unlink()
    try:
        ranklight("search", index, query, "-k", "3", "--sheet", sheet)
    finally:
        gone.write_bytes(content)
    pixels = np.asarray(Image.open(sheet).convert("RGB")).reshape(-1, 3).astype(int)
    reds = (np.abs(pixels - (225, 35, 30)) < 25).all(1).mean()
    greys = (np.abs(pixels - 200) < 3).all(1).mean()
    greens = (np.abs(pixels - (44, 160, 44)) < 8).all(1).mean()
    assert reds > 0.05
    assert greys > 0.03
    assert greens > 0.005


def test_a_box_is_shown_without_what_is_around_it(tmp_path, capsys):
    Image.fromarray(np.repeat([[[255, 0, 0]], [[0, 0, 255]]], 30, axis=1).astype("u1")).resize(
        (30, 60), Image.Resampling.NEAREST
    ).save(tmp_path / "both.png")
    sides = {"x1": [0, 0], "y1": [0, 30], "x2": [30, 30], "y2": [30, 60]}
    vectors = [unit(np.array([1.0, 0, 0])), unit(np.array([0, 0, 1.0]))]
    names = [tmp_path / "both.png"] * 2
    path = write_embeddings(tmp_path / "two.parquet", names, vectors, **sides)
    ranklight("index", "--embeddings", path, "--output", tmp_path / "index")
    (answer,) = searched(
        capsys, tmp_path / "index", "--rows", "0", "-k", "1", "--sheet", tmp_path / "sheet.png"
    )
    assert answer["found"][0]["box"] == [0, 30, 30, 60]
    pixels = np.asarray(Image.open(tmp_path / "sheet.png").convert("RGB")).astype(int)
    left, right = np.array_split(pixels, 2, axis=1)
    for half, colour, other in (
        (left, (255, 0, 0), (0, 0, 255)),
        (right, (0, 0, 255), (255, 0, 0)),
    ):
        assert (np.abs(half - colour) < 8).all(2).mean() > 0.1
        assert not (np.abs(half - other) < 8).all(2).any()
    page = PictureSearch(ImageIndex.open(tmp_path / "index"), ColourModel())
    assert page.columns == {}
    with Image.open(BytesIO(page.picture(1))) as picture:
        assert picture.size == (30, 30)
        assert picture.getpixel((0, 0))[2] > 240


def test_images_are_added_and_removed(index, folder, files, model, capsys, tmp_path):
    more = write_embeddings(tmp_path / "more.parquet", ["white.png"], [unit(np.ones(3))])
    ranklight("index", "--embeddings", more, "--output", index, "--add")
    assert "1 images added, 0 were there" in capsys.readouterr().out
    ranklight("index", "--remove", files[0], files[1], "--output", index)
    assert "2 images removed" in capsys.readouterr().out
    (answer,) = searched(capsys, index, files[0], "-k", "11")
    names = [image["file"] for image in answer["found"]]
    assert "white.png" in names
    assert str(files[2]) in names
    assert str(files[0]) not in names


def test_size_and_recall_of_every_kind_are_one_table(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    draw = np.random.default_rng(0)
    rows = [unit(row) for row in draw.standard_normal((300, 8))]
    path = write_embeddings(tmp_path / "all.parquet", [f"{n}.png" for n in range(300)], rows)
    ranklight("index", "--embeddings", path, "--compare", "--prefix", "4")
    told = capsys.readouterr().out
    lines = [line for line in told.splitlines() if "@10" in line]
    assert len(lines) == 8
    assert "Exact, float32 " in lines[0]
    assert "1.000 @10" in lines[0]
    assert "Exact, half, prefix 4" in lines[2]
    assert max(map(len, told.splitlines())) <= 80


def test_queries_that_are_no_images_are_named(index, model, tmp_path, capsys):
    for name, content in (("empty.png", b""), ("text.png", b"no picture")):
        (tmp_path / name).write_bytes(content)
        assert f"{name} is not a readable image" in refused(
            capsys, "search", index, tmp_path / name
        )
    assert "no image or folder" in refused(capsys, "search", index, tmp_path / "nothing.png")


def test_a_query_of_200_megapixels_is_refused_unread(index, model, tmp_path, capsys):
    Image.new("1", (20_000, 10_000)).save(tmp_path / "large.png")
    assert "more than 178,956,970 pixels" in refused(
        capsys, "search", index, tmp_path / "large.png"
    )


def test_what_cannot_be_searched_for_is_refused_before_the_model_is_loaded(
    index, files, capsys, monkeypatch
):
    monkeypatch.setattr("ranklight.serving.queries.load", lambda run: 1 / 0)
    refused(capsys, "search", index, "nothing.png")
    refused(capsys, "search", index, files[0], "-k", "13")


def test_of_a_small_index_all_are_found(tmp_path, files, capsys):
    few = write_embeddings(tmp_path / "few.parquet", files[:3], list(colours_of(files[:3])))
    ranklight("index", "--embeddings", few, "--output", tmp_path / "few")
    answer, *_ = searched(capsys, tmp_path / "few", few)
    assert len(answer["found"]) == 3
    (answer,) = searched(capsys, tmp_path / "few", "--rows", "1")
    assert {image["row"] for image in answer["found"]} == {0, 2}


def test_k_beyond_the_index_is_one_sentence(index, files, model, capsys):
    assert "12 images finds 1 to 12, not 13" in refused(
        capsys, "search", index, files[0], "-k", "13"
    )


def test_an_index_of_another_model_is_refused(index, files, model, capsys, monkeypatch):
    monkeypatch.setattr(ColourModel, "encoder_hash", "f" * 16)
    told = refused(capsys, "search", index, files[0])
    assert "the index is of the encoder 0123456789abcdef" in told
    assert "ffffffffffffffff" in told


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["index", "run", "--output", "o"], "needed is one of: RUN IMAGES"),
        (["index", "--embeddings", "e.parquet"], "--output names the directory"),
        (["index", "run", "images", "--compare"], "--compare needs --embeddings"),
        (["index", "--embeddings", "e.parquet", "--output", "o"], "no file of embeddings"),
        (["search", "no-index", "--rows", "1"], "there is no index in no-index"),
        (["search", "no-index"], "something to search for"),
        (["search", "no-index", "a.png", "-k", "0"], "-k is 1 or more"),
        (["search", "no-index", "a.png", "--effort", "0"], "an effort of 1 or more; got 0"),
        (["search", "no-index", "a.png", "--sheet", "a.jpg"], "must end in .png; got a.jpg"),
        (["search", "no-index", "a.png", "--threshold", "nan"], "--threshold is a similarity"),
        (["search", "no-index", "e.parquet", "a.png"], "is searched for alone"),
        (["index", "--remove", "a.png", "--output", "o"], "there is no index in o"),
        (["index", "--embeddings", "e.parquet", "--output", "o", "--add"], "no index in o"),
        (["index", "--embeddings", "e.parquet", "--compare", "--add"], "nothing to --add"),
        (["index", "--embeddings", "e", "--output", "o", "--root", "r"], "--root must be a folder"),
        (["index", "run", "", "--output", "o"], "no folder, table or image without a name"),
        (["embed", "run", "", "--output", "o.npy"], "no folder, table or image without a name"),
        (["embed", "run", ".", "--output", "o.npy", "--devices", "cpu,"], "--devices needs names"),
        (["embed", "run", ".", "--output", "o.npy", "--image", "x"], "--image is a column"),
        (["embed", "run", ".", "--output", "o.npy", "--root", "."], "--root is where names"),
        (["serve", "no-index", "--most_megabytes", "inf"], "--most_megabytes must be above 0"),
        (["serve", "no-index", "--most_megapixels", "nan"], "--most_megapixels must be above 0"),
        (["serve", "no-index", "--host", ""], "--host is empty"),
        (["serve", "no-index", "--port", "0"], "--port is 1 to 65535"),
        (["report", "no-run", "--output", "r"], "needs the directory of a run"),
        (["weights", "--path", "w.foo"], "--path must end in"),
        (["weights", "--losses", "[]"], "must name one loss or more"),
        (["weights", "--losses", "[torch.nn.CrossEntropyLoss]"], "weights are of losses of pairs"),
        (["weights", "--losses", "nonsense"], "losses must be a list or null, got nonsense (all"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(words, sentence, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert sentence in refused(capsys, *words)
    assert not list(tmp_path.iterdir())


def test_a_sheet_takes_no_pictures_place(index, files, model, capsys):
    content = files[0].read_bytes()
    for query in (files[0], files[1]):
        words = ["search", index, query, "--sheet", files[0]]
        assert "is what is read here, and would be lost" in refused(capsys, *words)
    assert files[0].read_bytes() == content


def test_brackets_and_colons_in_names_are_shown_as_they_are(tmp_path, files, capsys):
    names = ["[/x].png", ":cat: [bold].png"]
    path = write_embeddings(tmp_path / "odd.parquet", names, list(colours_of(files[:2])))
    ranklight("index", "--embeddings", path, "--output", tmp_path / "odd")
    ranklight("search", tmp_path / "odd", "--rows", "0", "1")
    told = capsys.readouterr().out
    assert all(told.count(name) == 2 for name in names)


def test_a_run_that_did_not_make_the_embeddings_is_refused(
    embeddings, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("ranklight.serving.trained_model.load", lambda run, device: ColourModel())
    monkeypatch.setattr(ColourModel, "encoder_hash", "f" * 16)
    words = ["index", "run", "--embeddings", embeddings, "--output", tmp_path / "other"]
    assert "the run run is of ffffffffffffffff" in refused(capsys, *words)
    assert not (tmp_path / "other").exists()


def test_another_kind_of_index_is_not_added_to(index, embeddings, capsys):
    words = ["index", "--embeddings", embeddings, "--output", index, "--add", "--kind", "HNSW"]
    assert "--add keeps the kind of the index that is there, Exact" in refused(capsys, *words)


def test_kinds_that_so_few_vectors_cannot_have_are_left_out_of_the_table(embeddings, capsys):
    ranklight("index", "--embeddings", embeddings, "--compare")
    told = capsys.readouterr().out
    assert "left out: IVFPQ" in told
    assert "HNSW" in told


@pytest.mark.parametrize("change", ["facts", "layout", "files"])
def test_a_damaged_index_is_one_sentence(index, capsys, change):
    facts = json.loads((index / "index.json").read_text())
    if change == "files":
        (index / facts["version"] / "files.parquet").write_bytes(b"")
    elif change == "layout":
        facts["layout"] = {"shape": "round"}
    else:
        del facts["encoder"]
    (index / "index.json").write_text(json.dumps(facts))
    assert "build the index again" in refused(capsys, "search", index, "--rows", "0")


@pytest.mark.parametrize("change", ["about", "lists", "cut"])
def test_embeddings_of_another_program_or_damaged_are_one_sentence(
    embeddings, tmp_path, capsys, change
):
    table = parquet.read_table(embeddings)
    if change == "lists":
        place = table.schema.get_field_index("embedding")
        lists = pa.array(table["embedding"].to_pylist(), pa.list_(pa.float32()))
        table = table.set_column(place, "embedding", lists)
    if change == "about":
        table = table.replace_schema_metadata({"ranklight": "{}"})
    parquet.write_table(table, tmp_path / "odd.parquet")
    if change == "cut":
        content = (tmp_path / "odd.parquet").read_bytes()
        (tmp_path / "odd.parquet").write_bytes(content[:-100])
    words = ["index", "--embeddings", tmp_path / "odd.parquet", "--output", tmp_path / "o"]
    said = refused(capsys, *words)
    assert "odd.parquet" in said
    assert "embed" in said
