"""Who may import whom, and what a file may hold: read from the source, nothing is imported."""

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
VOCABULARY = {"kernels", "pairs"}
BUILDING_BLOCKS = {*VOCABULARY, "search", "metrics", "models", "datamodules"}
ANYWHERE = {"files"}
MAY_IMPORT = {
    "files": set(),
    "kernels": set(),
    "pairs": {"kernels"},
    "search": {"kernels"},
    "losses": VOCABULARY,
    "miners": VOCABULARY,
    "metrics": {*VOCABULARY, "search"},
    "models": VOCABULARY,
    "datamodules": {*VOCABULARY, "search"},
    "lightning_modules": BUILDING_BLOCKS,
    "running": BUILDING_BLOCKS,
    "callbacks": {*BUILDING_BLOCKS, "running"},
    "serving": {*BUILDING_BLOCKS, "lightning_modules", "running"},
    "studies": set(),
    "commands": {
        *BUILDING_BLOCKS,
        "losses",
        "miners",
        "lightning_modules",
        "running",
        "callbacks",
        "serving",
        "studies",
    },
}
LIGHTNING = {"lightning", "pytorch_lightning", "lightning_fabric"}
WITH_LIGHTNING = {"lightning_modules", "datamodules", "callbacks", "running", "commands"}
TORCH_ONLY = {"pairs", "losses", "miners"}
ONE_CLASS_A_FILE = {"losses", "miners"}
NAMELESS = {"utils", "util", "common", "core", "helpers", "misc"}
OURS = {
    path.relative_to(ROOT): ast.parse(path.read_text())
    for room in MAY_IMPORT
    for path in sorted((ROOT / room).rglob("*.py"))
}
CHECKS = {
    path.relative_to(ROOT): ast.parse(path.read_text())
    for folder in ("benchmarks", "tests")
    for path in sorted((ROOT / folder).rglob("*.py"))
}
ONE_CLASS_FILES = {
    path: tree
    for path, tree in OURS.items()
    if path.parts[0] in ONE_CLASS_A_FILE and path.name != "__init__.py"
}


def modules(tree):
    """The full names of the modules that a file imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms(tree):
    """The rooms of ours that a file imports from."""
    ours = (name.split(".") for name in modules(tree) if name.startswith("ranklight."))
    return {parts[1] for parts in ours} & MAY_IMPORT.keys() - ANYWHERE


def packages(tree):
    return {name.split(".")[0] for name in modules(tree)}


def outside(tree):
    """The packages of others that a file imports."""
    return packages(tree) - {"ranklight"} - set(sys.stdlib_module_names)


def public_class(tree):
    (found,) = (
        node
        for node in tree.body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    return found


def exported(package):
    for node in OURS[Path(package, "__init__.py")].body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "__all__":
            return ast.literal_eval(node.value)
    return []


def test_rooms_see_only_what_they_may():
    wrong = {
        str(path): beyond
        for path, tree in OURS.items()
        if (beyond := rooms(tree) - {path.parts[0]} - MAY_IMPORT[path.parts[0]])
    }
    assert not wrong


def test_nothing_is_imported_by_the_name_of_its_folder_alone():
    wrong = {
        str(path): beyond
        for path, tree in {**OURS, **CHECKS}.items()
        if (beyond := packages(tree) & MAY_IMPORT.keys())
    }
    assert not wrong


def test_lightning_stays_where_it_belongs():
    without = {path: tree for path, tree in OURS.items() if path.parts[0] not in WITH_LIGHTNING}
    assert not [str(path) for path, tree in without.items() if outside(tree) & LIGHTNING]


def test_the_vocabulary_and_what_is_said_in_it_need_torch_alone():
    said = {path: tree for path, tree in OURS.items() if path.parts[0] in TORCH_ONLY}
    wrong = {str(path): outside(tree) - {"torch", "jaxtyping"} for path, tree in said.items()}
    assert not {path: beyond for path, beyond in wrong.items() if beyond}


def test_kernels_need_torch_and_numpy_alone():
    kernels = {path: tree for path, tree in OURS.items() if path.parts[0] == "kernels"}
    assert all(outside(tree) <= {"torch", "numpy", "jaxtyping"} for tree in kernels.values())


def test_faiss_is_imported_in_one_place():
    directly = {path for path, tree in OURS.items() if "faiss" in outside(tree)}
    by_name = {
        path
        for path, tree in OURS.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and [ast.unparse(word) for word in node.args] == ["'faiss'"]
    }
    assert directly | by_name == {Path("search/backends.py")}


def test_one_loss_or_miner_a_file():
    for path, tree in ONE_CLASS_FILES.items():
        assert public_class(tree).name in exported(path.parts[0]), path
        assert [ast.unparse(base) for base in public_class(tree).bases] == ["nn.Module"], path


def test_every_exported_loss_or_miner_has_a_file():
    for package in ONE_CLASS_A_FILE:
        files = [tree for path, tree in ONE_CLASS_FILES.items() if path.parts[0] == package]
        assert sorted(exported(package)) == sorted(public_class(tree).name for tree in files)


def test_every_loss_and_miner_has_its_test():
    for path, tree in ONE_CLASS_FILES.items():
        tests = [
            test
            for test, content in CHECKS.items()
            if test.parts[:2] == ("tests", path.parts[0])
            and test.stem not in ("test_contract", "conftest")
            and public_class(tree).name
            in {node.id for node in ast.walk(content) if isinstance(node, ast.Name)}
        ]
        assert tests, path


def test_annotations_are_objects_so_that_shapes_can_be_checked():
    everything = {**OURS, **CHECKS}.items()
    assert not [str(path) for path, tree in everything if "__future__" in packages(tree)]


def test_tests_are_no_package():
    assert not [path for path in CHECKS if path.parts[0] == "tests" and path.stem == "__init__"]


def test_no_folder_is_named_after_nothing():
    assert not [path for path in {**OURS, **CHECKS} if NAMELESS & {*path.parts[:-1], path.stem}]
