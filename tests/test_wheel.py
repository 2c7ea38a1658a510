"""The wheel: all of the package and nothing else, and it runs where nothing else lies."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ranklight import __version__

ROOT = Path(__file__).parents[1]
NOT_INSTALLED = {"benchmarks", "docs", "real_data", "tests"}
INSTALLED = {".css", ".html", ".js", ".py", ".sh", ".typed", ".yaml"}
MY_LOSS = """
from torch import nn


class MyLoss(nn.Module):
    def forward(self, similarity, relevance, selection):
        return (similarity * (1 - 2 * relevance) * selection).mean()
"""


def run(*command, **options):
    ended = subprocess.run(command, capture_output=True, text=True, timeout=600, **options)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def files():
    """What the checkout holds, but for what git ignores."""
    listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT)
    return [name for name in listed.splitlines() if (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def wheel(files, tmp_path_factory):
    """Built from a checkout whose name is no name of a module."""
    folder = tmp_path_factory.mktemp("wheel")
    checkout = folder / "a-b.c"
    for name in files:
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, checkout / name)
    build = ["pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", "."]
    run(sys.executable, "-m", *build, checkout, cwd=folder)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def site(wheel, tmp_path_factory):
    """A folder of packages that has ours alone."""
    folder = tmp_path_factory.mktemp("site")
    install = ["pip", "install", "--quiet", "--no-deps", "--target", folder, wheel]
    run(sys.executable, "-m", *install)
    return folder


@pytest.fixture
def ranklight(site, tmp_path, monkeypatch):
    """The installed command, in a folder that is empty but for what a test puts there."""
    monkeypatch.delenv("RANKLIGHT_RUN", raising=False)
    environment = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}

    def call(*command):
        return run(*command, cwd=tmp_path, env=environment)

    return call


def test_holds_every_module_and_recipe_and_nothing_else(files, wheel):
    paths = [Path(name) for name in files]
    ours = {
        f"ranklight/{path}"
        for path in paths
        if path.suffix in INSTALLED and not NOT_INSTALLED & {path.parts[0]}
    }
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == ours


def test_tells_its_version_and_its_recipes(ranklight, site):
    where = ranklight(sys.executable, "-c", "import ranklight; print(ranklight.__file__)")
    assert Path(where.strip()).parent == site / "ranklight"
    version = ranklight(sys.executable, "-m", "ranklight", "--version")
    assert version == f"ranklight {__version__}\n"
    recipes = ranklight(site / "bin" / "ranklight", "recipes")
    assert "-c digits/multi_similarity.yaml\n" in recipes


def test_trains_a_recipe_with_a_loss_of_ones_own_beside_a_package_of_ones_own(
    ranklight, site, tmp_path
):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "__init__.py").touch()
    (tmp_path / "mine.py").write_text(MY_LOSS)
    loss = ["--model.init_args.objective.init_args.loss", "mine.MyLoss"]
    options = ["--trainer.max_steps", "3", "--trainer.accelerator", "cpu"]
    recipe = ["-c", "digits/multi_similarity.yaml"]
    ranklight(site / "bin" / "ranklight", "fit", *recipe, *loss, *options)
    run = tmp_path / "runs" / "digits" / "multi_similarity" / "latest"
    assert (run / "checkpoints" / "last.ckpt").is_file()
    assert "class_path: mine.MyLoss" in (run / "config.yaml").read_text()
