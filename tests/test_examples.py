"""The examples of docstrings run, and each public name of these rooms has one.

By hand: `python -m pytest --doctest-modules losses miners pairs`.
"""

import doctest
import importlib
import inspect
import pkgutil

import pytest

SHOWN_IN = ("losses", "miners", "pairs", "metrics", "models", "search", "datamodules", "studies")
EACH_HAS_ONE = ("losses", "miners", "pairs", "datamodules.samplers")


def module_names(room):
    package = importlib.import_module(f"ranklight.{room}")
    found = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    return [package.__name__, *(module.name for module in found)]


def examples_of(thing, name=None):
    found = doctest.DocTestFinder(recurse=False).find(thing, name)
    return [test for test in found if test.examples]


def public(room):
    """What a room exports; a record is shown where it is returned."""
    package = importlib.import_module(f"ranklight.{room}")
    for name in package.__all__:
        thing = getattr(package, name)
        is_record = inspect.isclass(thing) and issubclass(thing, tuple)
        if callable(thing) and not is_record:
            yield thing


@pytest.mark.parametrize("name", [name for room in SHOWN_IN for name in module_names(room)])
def test_examples_say_what_happens(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0


@pytest.mark.parametrize("room", EACH_HAS_ONE)
def test_every_public_name_has_an_example(room):
    things = list(public(room))
    assert things
    assert not [thing.__name__ for thing in things if not examples_of(thing, thing.__name__)]
