"""README's way from a run to a search page, line by line, after a quickstart of a few steps."""

import json
import re
import shlex
from pathlib import Path

import onnxruntime
import pytest
import uvicorn
from fastapi.testclient import TestClient
from PIL import Image
from pyarrow import parquet

from tests.serving.small_runs import ranklight

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture(scope="module")
def journey(tmp_path_factory):
    """The folder in which all of README's lines ran, and the page that the last one served."""
    folder, pages = tmp_path_factory.mktemp("journey"), []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(uvicorn, "run", lambda page, **options: pages.append(page))
        short = ("--trainer.max_steps", "3", "--trainer.enable_progress_bar", "false")
        ranklight("fit", "-c", "digits/multi_similarity.yaml", *short, "--test_after_fit", "true")
        for line in lines():
            ranklight(*shlex.split(line))
    return folder, pages[0]


def lines():
    section = README.read_text().split("## From a run to answers")[1].split("\n## ")[0]
    return re.findall(r"^    ranklight (.*)$", section, re.MULTILINE)


def test_every_line_leaves_what_it_says(journey):
    folder, _ = journey
    assert parquet.read_metadata(folder / "photos.parquet").num_rows == 896
    with Image.open(folder / "found.png") as sheet:
        assert sheet.width > sheet.height > 32
    assert "data:image/jpeg" in (folder / "report" / "index.html").read_text()
    contract = json.loads((folder / "model" / "contract.json").read_text())
    session = onnxruntime.InferenceSession(folder / "model" / "model.onnx")
    assert session.get_inputs()[0].shape[1:] == contract["input"]["shape"][1:]


def test_the_page_finds_a_picture_of_the_index(journey):
    folder, page = journey
    client = TestClient(page, base_url="http://127.0.0.1:8000")
    picture = sorted((folder / "photos" / "7").iterdir())[0]
    found = client.post("/search?k=3", content=picture.read_bytes()).json()["found"]
    assert len(found) == 3
    assert found[0]["file"] == str(Path("photos", "7", picture.name))
    assert found[0]["similarity"] == pytest.approx(1, abs=1e-5)
