import importlib.util

import pytest

from ranklight.datamodules.reading import suffixes


@pytest.fixture(autouse=True)
def _asked_anew():
    suffixes.suffixes.cache_clear()
    yield
    suffixes.suffixes.cache_clear()


@pytest.mark.parametrize("name", ["a.JPG", "b.jfif", "c.d.png", "e.TIFF", "f.webp"])
def test_pictures_are_known_by_their_endings(name):
    assert suffixes.why_no_picture(name) is None


@pytest.mark.parametrize(
    ("name", "reason"), [("a.txt", ".txt files"), ("b.MOV", ".mov files"), ("c", "files without")]
)
def test_why_others_are_left_out(name, reason):
    assert suffixes.why_no_picture(name).startswith(reason)


def test_pictures_of_telephones_need_a_package(monkeypatch):
    monkeypatch.setattr(suffixes, "find_spec", lambda name: None)
    assert suffixes.why_no_picture("a.HEIC") == ".heic (pip install pillow-heif to read them)"
    suffixes.suffixes.cache_clear()
    spec = importlib.util.find_spec("json")
    monkeypatch.setattr(suffixes, "find_spec", lambda name: spec)
    assert suffixes.why_no_picture("a.heic") is None


def test_avif_is_read_where_pillow_can(monkeypatch):
    for can in (True, False):
        suffixes.suffixes.cache_clear()
        monkeypatch.setattr(suffixes.features, "check", lambda name, can=can: can)
        assert (suffixes.why_no_picture("a.avif") is None) == can
