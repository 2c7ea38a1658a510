"""Who may import whom, and what a file may hold: read from the source, nothing is imported."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LEAVES = {"pairs"}
BUILDING_BLOCKS = {"pairs", "metrics", "models", "datamodules"}
MAY_IMPORT = {
    "pairs": set(),
    "losses": LEAVES,
    "miners": LEAVES,
    "metrics": LEAVES,
    "models": LEAVES,
    "datamodules": LEAVES,
    "lightning_modules": BUILDING_BLOCKS,
    "callbacks": BUILDING_BLOCKS,
    "experiments": {
        *BUILDING_BLOCKS,
        "losses",
        "miners",
        "lightning_modules",
        "callbacks",
        "experiments",
    },
}
LIGHTNING = {"lightning", "pytorch_lightning", "lightning_fabric"}
WITH_LIGHTNING = {"lightning_modules", "datamodules", "callbacks", "experiments"}
TORCH_ONLY = {"pairs", "losses", "miners"}
ONE_CLASS_A_FILE = {"losses", "miners"}
SOURCES = sorted(
    path.relative_to(ROOT)
    for package in [*MAY_IMPORT, "benchmarks", "tests"]
    for path in (ROOT / package).rglob("*.py")
)
OURS = [path for path in SOURCES if path.parts[0] in MAY_IMPORT]
ONE_CLASS_FILES = [
    path for path in OURS if path.parts[0] in ONE_CLASS_A_FILE and path.name != "__init__.py"
]


def tree(path):
    return ast.parse((ROOT / path).read_text())


def imported(path):
    """The top-level names of the modules that a file imports, wherever in it."""
    names = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(path.parts[0] if node.level else node.module.split(".")[0])
    return names


def public_classes(path):
    classes = [node for node in tree(path).body if isinstance(node, ast.ClassDef)]
    return [node for node in classes if not node.name.startswith("_")]


def exported(package):
    for node in tree(Path(package, "__init__.py")).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "__all__":
            return ast.literal_eval(node.value)
    return []


@pytest.mark.parametrize("path", OURS, ids=str)
def test_packages_see_only_what_they_may(path):
    package = path.parts[0]
    seen = imported(path) & (set(MAY_IMPORT) | {"benchmarks", "tests"}) - {package}
    assert seen <= MAY_IMPORT[package], (
        f"{package} may import {MAY_IMPORT[package] or 'none of us'}"
    )


@pytest.mark.parametrize("path", OURS, ids=str)
def test_lightning_stays_where_it_belongs(path):
    if path.parts[0] not in WITH_LIGHTNING:
        assert not imported(path) & LIGHTNING


@pytest.mark.parametrize("path", [p for p in OURS if p.parts[0] in TORCH_ONLY], ids=str)
def test_the_vocabulary_and_what_is_said_in_it_need_torch_alone(path):
    outside = imported(path) - set(sys.stdlib_module_names) - set(MAY_IMPORT)
    assert outside <= {"torch", "jaxtyping"}


@pytest.mark.parametrize("path", ONE_CLASS_FILES, ids=str)
def test_one_loss_or_miner_a_file(path):
    (public,) = public_classes(path)
    assert public.name in exported(path.parts[0])
    assert [ast.unparse(base) for base in public.bases] == ["nn.Module"]


@pytest.mark.parametrize("package", sorted(ONE_CLASS_A_FILE))
def test_every_exported_loss_or_miner_has_a_file(package):
    files = [path for path in ONE_CLASS_FILES if path.parts[0] == package]
    assert sorted(exported(package)) == sorted(public_classes(path)[0].name for path in files)


def used_names(path):
    return {node.id for node in ast.walk(tree(path)) if isinstance(node, ast.Name)}


@pytest.mark.parametrize("path", ONE_CLASS_FILES, ids=str)
def test_every_loss_and_miner_has_its_test(path):
    (tested,) = public_classes(path)
    tests = (ROOT / "tests" / path.parts[0]).glob("test_*.py")
    by_name = [test for test in tests if tested.name in used_names(test)]
    assert [test for test in by_name if test.stem != "test_contract"]


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_annotations_are_objects_so_that_shapes_can_be_checked(path):
    assert "__future__" not in imported(path)


def test_tests_are_no_package():
    assert not [path for path in SOURCES if path.parts[0] == "tests" and path.stem == "__init__"]


def test_no_folder_is_named_after_nothing():
    nameless = {"utils", "util", "common", "core", "helpers", "misc"}
    assert not [path for path in SOURCES if nameless & {*path.parts[:-1], path.stem}]
