import csv
import sys

import pytest

from real_data import elpv
from tests.trees import picture


@pytest.fixture
def package(tmp_path, monkeypatch):
    """As pip installs it, with three cells."""
    data = tmp_path / "site" / "elpv_dataset" / "data"
    for number in range(3):
        picture(data / "images" / f"cell{number}.png", "L")
    (data / "labels.csv").write_text(
        "images/cell0.png  1.0                 mono\n"
        "images/cell1.png  0.3333333333333333  poly\n"
        "images/cell2.png  0.0  poly\n"
    )
    (data.parent / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path / "site")
    return data


def test_labels_become_a_table_beside_the_images(package, tmp_path, monkeypatch):
    root = tmp_path / "elpv"
    monkeypatch.setattr(sys, "argv", ["elpv", str(root)])
    elpv.main()
    with (root / "table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["image"], row["defect"], row["polycrystalline"]) for row in rows] == [
        ("images/cell0.png", "1.0", "0"),
        ("images/cell1.png", "0.3333333333333333", "1"),
        ("images/cell2.png", "0.0", "1"),
    ]
    assert {row["split"] for row in rows} <= {"train", "val", "test"}
    for row in rows:
        assert (root / row["image"]).read_bytes() == (package / row["image"]).read_bytes()
    assert "CC BY-NC-SA 4.0" in (root / "LICENCES.txt").read_text()


def test_without_the_package_it_names_the_licence(tmp_path, monkeypatch):
    monkeypatch.setattr(elpv, "find_spec", lambda name: None)
    monkeypatch.setattr(sys, "argv", ["elpv", str(tmp_path / "elpv")])
    with pytest.raises(SystemExit, match=r"CC BY-NC-SA 4\.0\) is not installed: make real-data"):
        elpv.main()
