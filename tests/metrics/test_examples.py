"""Every public metric and search has an example, and the examples are true."""

import doctest
import importlib
import pkgutil

import pytest

ROOMS = [importlib.import_module(f"ranklight.{room}") for room in ("search", "metrics")]
MODULES = [
    f"{room.__name__}.{module.name}"
    for room in ROOMS
    for module in pkgutil.iter_modules(room.__path__)
]


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.__name__)
def test_what_is_public_has_an_example(room):
    assert not [name for name in room.__all__ if ">>>" not in getattr(room, name).__doc__]


@pytest.mark.parametrize("name", [*MODULES, "ranklight.files.markdown"])
def test_examples_are_true(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0
