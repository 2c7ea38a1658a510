"""What is imported before it is used: nothing that costs seconds."""

import ast
import json
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = [path.parent.name for path in sorted(ROOT.glob("*/__init__.py"))]
ROOMS.remove("benchmarks")
NOT_ASKED_FOR = {"faiss", "matplotlib", "pyarrow", "scipy", "sklearn", "timm", "wandb"}
# The trainer's own metrics import these two: only a file's own imports can be looked at.
WITH_TRAINER = {"matplotlib", "scipy"}


def imported(code):
    """The packages that a process has imported in the end."""
    code = f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=600, check=True
    )
    return {name.split(".")[0] for name in json.loads(ended.stdout.splitlines()[-1])}


def imported_by(*arguments, after=""):
    """The packages that a command has imported in the end."""
    return imported(
        f"{after}\nimport sys\nsys.argv = {['ranklight', *map(str, arguments)]}\n"
        "from ranklight.__main__ import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass"
    )


@pytest.fixture
def runs(tmp_path):
    """Two runs of each of two experiments, which have an interval and a difference."""
    for experiment, seed in product(("digits", "scenes"), range(2)):
        (run := tmp_path / "runs" / experiment / str(seed)).mkdir(parents=True)
        (run / "metrics.csv").write_text(f"step,test/recall@1\n0,0.{seed}\n")
        (run / "config.yaml").write_text(f"experiment: {experiment}\n")
        (run / "run.json").write_text('{"stages": [{"stage": "fit", "outcome": "finished"}]}')
    return tmp_path / "runs"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--help"],
        ["--version"],
        ["recipes"],
        ["compare", "--help"],
        ["study", "--help"],
        ["embed", "--help"],
        ["index", "--help"],
        ["search", "--help"],
        ["serve", "--help"],
        ["export", "--help"],
        ["push", "--help"],
        ["pull", "--help"],
        ["report", "--help"],
        ["digits", "--help"],
        ["no-command"],
    ],
)
def test_a_command_that_trains_nothing_imports_nothing_for_it(arguments):
    assert not imported_by(*arguments) & {*NOT_ASKED_FOR, "numpy", "pytorch_lightning", "torch"}


def test_the_package_brings_nothing_before_load_is_asked_for():
    assert not imported("import ranklight") & {
        *NOT_ASKED_FOR,
        "numpy",
        "pytorch_lightning",
        "torch",
    }


def test_comparing_needs_neither_torch_nor_a_drawing(runs):
    table = ("--output", runs / "table.md")
    packages = imported_by("compare", runs, "--metrics", "test/recall@1", *table)
    assert (runs / "table.md").exists()
    assert "scipy" in packages
    assert not packages & {"matplotlib", "pytorch_lightning", "torch"}


def test_no_room_and_no_help_on_training_imports_what_only_some_runs_need():
    rooms = "\n".join(f"import ranklight.{room}" for room in ROOMS)
    packages = imported_by("fit", "--help", after=rooms)
    assert "pytorch_lightning" in packages
    assert not packages & (NOT_ASKED_FOR - WITH_TRAINER)


def test_no_file_of_ours_imports_it_at_its_top():
    wrong = {
        str(path.relative_to(ROOT)): sorted(heavy)
        for room in ROOMS
        for path in sorted((ROOT / room).rglob("*.py"))
        if (heavy := at_top(ast.parse(path.read_text())) & NOT_ASKED_FOR)
    }
    assert not wrong


def at_top(tree):
    whole = [node for node in tree.body if isinstance(node, ast.Import)]
    parts = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    return {
        *(alias.name.split(".")[0] for node in whole for alias in node.names),
        *(node.module.split(".")[0] for node in parts),
    }
