import pytest

from ranklight.datamodules.examination import unreadable_headers
from tests.datamodules.examination.drawn import drawn


def test_each_file_that_is_no_image_is_named_in_order(tmp_path):
    files = [tmp_path / f"{number}.png" for number in range(200)]
    for file in files:
        drawn(0, (4, 4)).save(file)
    files[70].write_text("no picture")
    files[130].write_bytes(b"")
    done = []
    found = unreadable_headers([str(file) for file in files], done.append)
    assert [
        f"{files[place]} is not a readable image: " in words
        for place, words in zip((70, 130), found, strict=True)
    ]
    assert sum(done) == 200


def test_pixels_are_not_looked_at(tmp_path):
    file = tmp_path / "cut.jpg"
    drawn(0).save(file)
    file.write_bytes(file.read_bytes()[:-2000])
    assert unreadable_headers([str(file)]) == []


def test_more_pixels_than_pillow_takes(tmp_path, monkeypatch):
    drawn(0, (40, 40)).save(file := tmp_path / "large.png")
    monkeypatch.setattr("ranklight.datamodules.reading.pictures.MOST_PIXELS", 700)
    (found,) = unreadable_headers([str(file)])
    assert "more than 700 pixels" in found


def test_what_a_file_is_instead(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    (tmp_path / "b.jpg").write_bytes(b"\0\0\0\x18ftypheic")
    eps, heic = unreadable_headers([str(tmp_path / name) for name in ("a.jpg", "b.jpg")])
    assert "it is none of JPEG, " in eps
    assert "HEI" in heic


@pytest.mark.parametrize("name", ["gone.png", ""])
def test_a_file_that_is_gone(tmp_path, name):
    assert len(unreadable_headers([str(tmp_path / name)])) == 1
