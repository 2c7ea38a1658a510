import csv
import json
import sys
from collections import defaultdict

import pytest

from real_data import emoji
from tests.trees import picture

TECHNOLOGIST = "1f469-200d-1f4bb"


def entry(code, name, category="People & Body", tones=()):
    """An emoji as emoji.json lists it, with its forms in some skin tones."""
    variations = {
        tone: {"unified": code.replace("-", f"-{tone}-", 1).upper()}
        for tone in map(str.upper, tones)
    }
    listed = {"unified": code.upper(), "short_name": name, "category": category}
    return {**listed, "skin_variations": variations} if tones else listed


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """As npm lays them out; the vendors draw more emoji or fewer."""
    monkeypatch.setattr(emoji, "LEAST", 1)
    listed = [
        entry("1f600", "grinning"),
        entry("1f686", "train"),
        entry("1faa8", "rock"),
        entry("2764-fe0f", "heart"),
        entry("1f1e6-1f1f9", "flag-at", "Flags"),
        entry(TECHNOLOGIST, "female-technologist", tones=["1f3fb", "1f3ff"]),
    ]
    drawn = {
        "google": ["1f600", "1f686", "1faa8", "2764-fe0f", "1f1e6-1f1f9", TECHNOLOGIST],
        "twitter": ["1f600", "1f1e6-1f1f9", TECHNOLOGIST, "1f469-1f3ff-200d-1f4bb"],
        "fluent": ["1f600", "1f686", "2764", TECHNOLOGIST],
    }
    root = tmp_path / "node_modules"
    for vendor, codes in drawn.items():
        for code in codes:
            picture(root / emoji.VENDORS[vendor].format(code), "RGBA")
    (root / emoji.LIST).write_text(json.dumps(listed))
    return root


@pytest.fixture
def build(packages, tmp_path, monkeypatch):
    def run():
        root = tmp_path / "emoji"
        monkeypatch.setattr(sys, "argv", ["emoji", str(packages), str(root)])
        emoji.main()
        return root

    return run


def rows(table):
    with table.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_class_is_an_emoji_that_at_least_two_vendors_draw(build):
    classes = {
        folder.name: sorted(file.name for file in folder.iterdir())
        for folder in (build() / "classes").iterdir()
    }
    assert classes == {
        "grinning": ["fluent.webp", "google.png", "twitter.png"],
        "train": ["fluent.webp", "google.png"],
        "heart": ["fluent.webp", "google.png"],
        "flag-at": ["google.png", "twitter.png"],
        "female-technologist": ["fluent.webp", "google.png", "twitter.png"],
    }


def test_pictures_are_copied_as_they_are(build, packages):
    copied = build() / "classes" / "heart"
    for vendor, code in (("google", "2764-fe0f"), ("fluent", "2764")):
        source = packages / emoji.VENDORS[vendor].format(code)
        assert (copied / f"{vendor}{source.suffix}").read_bytes() == source.read_bytes()


def test_vendors_have_whole_classes_in_a_split_and_one_vendor_for_queries(build):
    root = build()
    table = rows(root / "vendors.csv")
    assert {row["image"] for row in table} == {
        str(file.relative_to(root)) for file in (root / "classes").glob("*/*")
    }
    splits = defaultdict(set)
    for row in table:
        splits[row["emoji"]].add(row["split"])
        role = "query" if row["group"] == "fluent" else "gallery"
        assert row["role"] == ("" if row["split"] == "train" else role)
        assert row["image"].startswith(f"classes/{row['emoji']}/{row['group']}.")
    assert all(len(split) == 1 for split in splits.values())


def test_parts_are_code_points_by_name_and_flags_have_none(build):
    root = build()
    labels = {row["image"]: row["labels"] for row in rows(root / "parts.csv")}
    assert labels == {
        f"parts/google/{TECHNOLOGIST}.png": "woman|personal computer",
        f"parts/twitter/{TECHNOLOGIST}.png": "woman|personal computer",
        "parts/twitter/1f469-1f3ff-200d-1f4bb.png": "skin-6|woman|personal computer",
    }
    assert all((root / image).is_file() for image in labels)


def test_a_part_of_few_emoji_is_no_label(build, monkeypatch):
    monkeypatch.setattr(emoji, "LEAST", 2)
    labels = {row["labels"] for row in rows(build() / "parts.csv")}
    assert labels == {"woman|personal computer"}


def test_all_pictures_of_an_emoji_are_in_one_split(build):
    splits = {row["split"] for row in rows(build() / "parts.csv") if TECHNOLOGIST in row["image"]}
    assert len(splits) == 1


def test_building_again_changes_nothing_and_removes_what_was_interrupted(build, tmp_path):
    stale = tmp_path / "emoji.partial" / "classes" / "stale" / "google.png"
    picture(stale)
    first = {file: file.read_bytes() for file in build().rglob("*") if file.is_file()}
    second = {file: file.read_bytes() for file in build().rglob("*") if file.is_file()}
    assert first == second
    assert not stale.exists()
    assert not [file for file in first if "stale" in file.parts]


def test_an_interrupted_build_leaves_what_was_there(build, monkeypatch):
    root = build()
    before = sorted(root.rglob("*"))
    monkeypatch.setattr(emoji, "write_parts", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        build()
    assert sorted(root.rglob("*")) == before


def test_licences_name_every_vendor(build):
    licences = (build() / "LICENCES.txt").read_text()
    for licence in ("Apache License 2.0", "CC BY 4.0", "MIT"):
        assert licence in licences
    assert all(vendor in licences for vendor in emoji.VENDORS)


def test_without_the_packages_it_says_what_to_do(build, packages, tmp_path):
    (packages / emoji.LIST).unlink()
    with pytest.raises(SystemExit, match=r"has no .*emoji\.json: `make real-data` fetches it"):
        build()
    assert not (tmp_path / "emoji").exists()
