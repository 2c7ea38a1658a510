"""The notebooks' code, cell by cell in a fresh namespace, with few steps."""

import json
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ranklight.__main__ import main
from ranklight.serving.image_index import ImageIndex
from tests.commands.command_line import build_parsers_once

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
FEW = {
    "folder_to_search": "EPOCHS, PICTURES = 1, 120",
    "multi_label": 'STEPS, SCENES, RUN = 4, 64, "lsep/digit_scenes/first"',
    "continuous_labels": 'STEPS, SCENES, RUN = 4, 128, "log_ratio/digit_poses/first"',
}
UNDRAWN = "--callbacks.curves null --callbacks.gallery null "
SMALLER = {
    "lsep/digit_scenes.yaml": UNDRAWN + "--data.val_scenes 64 --data.test_scenes 64 "
    "--trainer.val_check_interval 2 --trainer.check_val_every_n_epoch null",
    "log_ratio/digit_poses.yaml": UNDRAWN
    + "--data.val_scenes [16,32] --trainer.val_check_interval 2",
    "folder.yaml": "--data.batches_per_epoch 2",
}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """`run(name)` -> the names that a notebook leaves behind, and its last values by cell."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RANKLIGHT_RUN", "restored when the patch is undone")
    build_parsers_once(monkeypatch)

    def command(words):
        words = shlex.split(words)
        more = next((SMALLER[word] for word in words if word in SMALLER), "")
        monkeypatch.setattr(sys, "argv", [*words, *shlex.split(more)])
        monkeypatch.delenv("RANKLIGHT_RUN", raising=False)
        main()

    def run(name):
        cells = code_cells(name)
        first = cells[0]
        assert re.fullmatch(r"[A-Z, ]+ = .*", first)
        assert first.split("=")[0] == FEW[name].split("=")[0]
        namespace = {"__name__": "__main__", "_command": command}
        for cell in [FEW[name], *cells[1:]]:
            exec(compile(in_python(cell), f"{name}.ipynb", "exec"), namespace)
        return namespace

    return run


def code_cells(name):
    notebook = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))
    assert all(not cell.get("outputs") for cell in notebook["cells"])
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]


def in_python(cell):
    """A line of a shell, as notebooks have it, as a call; {NAME} is the value of NAME."""
    return re.sub(r"^!(.*)$", lambda line: f"_command(f{line[1]!r})", cell, flags=re.MULTILINE)


def test_no_notebook_is_left_out():
    assert {file.stem for file in NOTEBOOKS.glob("*.ipynb")} == FEW.keys()


def test_from_a_folder_to_a_search(run, tmp_path):
    left = run("folder_to_search")
    assert left["vectors"].shape == (len(list(Path("digits/9").glob("*.png"))), 64)
    index = ImageIndex.open("index")
    assert len(index) == 120
    # The query is in the index, so it is nearest to itself.
    assert index.path(int(left["rows"][0, 0])).resolve() == left["query"].resolve()
    assert left["similarities"][0, 0] == pytest.approx(1, abs=1e-4)
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "size, recall of k neighbours" in page
    assert page.count("data:image/jpeg") > 20


def test_ranking_labels_and_deciding(run):
    left = run("multi_label")
    assert left["scores"].shape == (8, 10)
    assert len(left["decided"]) == 8
    # Every rule says labels that score highest.
    for said, scores in zip(left["decided"], left["scores"], strict=True):
        top = np.argsort(-scores)[: len(said)]
        assert {left["model"].class_names[place] for place in top} == set(said)
    assert [len(of) for of in left["truth"]] == left["scenes"].labels.sum(1).tolist()


def test_nearest_in_pose(run):
    left = run("continuous_labels")
    assert left["found"].shape == (100, 10)
    assert left["by_oracle"] < left["by_model"]
    assert left["by_oracle"] < left["by_chance"]
    apart = ((left["vectors"][0] - left["others"]) ** 2).sum(1)
    assert left["found"][0, 0] == apart.argmin()
    assert isinstance(left["side_by_side"]([Image.new("L", (4, 4))]), Image.Image)
