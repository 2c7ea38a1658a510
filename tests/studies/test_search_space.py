import re

import pytest

from ranklight.studies.search_space import Between, OneOf, read_space

LR = "model.init_args.optimizer.init_args.lr"


@pytest.fixture
def space(tmp_path):
    def write(content):
        (file := tmp_path / "space.yaml").write_text(content)
        return read_space(file)

    return write


def test_without_arms_there_is_one(space):
    (arm,) = space(
        f"space:\n  {LR}: {{low: 1.0e-4, high: 0.1, log: true}}\n  a.b: {{choices: [x]}}"
    )
    assert arm.name == "all"
    assert arm.ranges == {LR: Between(1e-4, 0.1, log=True), "a.b": OneOf(("x",))}


def test_arms_have_what_is_shared_and_their_own(space):
    one, other = space(
        """
        space: {lr: {low: 1, high: 2}}
        arms:
          one: {config: one.yaml, values: {dim: 8}}
          other: {config: [a.yaml, b.yaml], space: {lr: {low: 3, high: 4}, k: {choices: [{a: 2}]}}}
        """
    )
    assert (one.configs, one.values, one.ranges) == (
        ("one.yaml",),
        {"dim": 8},
        {"lr": Between(1, 2)},
    )
    assert other.configs == ("a.yaml", "b.yaml")
    assert other.ranges == {"lr": Between(3, 4), "k": OneOf(({"a": 2},))}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[1, 2]", "must hold keys and their values; got [1, 2]"),
        ("space: [", "is not YAML"),
        ("spaces: {}", "has no 'spaces'; it may have space, arms"),
        ("space: {}", "must give a range to search under space or in an arm; it has none"),
        ("arms: {}", "must give a range to search"),
        ("space: {lr: 3}", "space: lr must hold keys and their values; got 3"),
        ("space: {lr: {low: 1}}", "lr must have low and high, or choices; it has ['low']"),
        ("space: {lr: {low: 1, hihg: 2}}", "lr has no 'hihg'; it may have low, high, log, step"),
        ("space: {lr: {low: 2, high: 2}}", "lr is empty: low 2 must be below high 2"),
        ("space: {lr: {low: 3, high: 2}}", "lr is empty: low 3 must be below high 2"),
        ("space: {lr: {low: 1e-4, high: 1.0}}", "low must be a number; got '1e-4' (YAML takes"),
        ("space: {lr: {low: 0, high: 1, log: true}}", "with log, low must be above 0"),
        ("space: {lr: {low: 1, high: 4, step: 9}}", "step must be above 0 and at most high - low"),
        ("space: {lr: {low: 1, high: 4, log: 2}}", "log must be true or false; got 2"),
        ("space: {lr: {choices: []}}", "choices must be a list of one value or more; got []"),
        ("space: {lr: {choices: [1], low: 1}}", "lr has no 'low'; it may have choices"),
        ("space: {lr: {choices: [1, 1]}}", "choices has 1 twice"),
        ("space: {lr: {choices: [2020-01-01]}}", "choices must be text, numbers"),
        ("arms: {a: {values: {lr: 2020-01-01}}}", "lr must be text, numbers"),
        ("space: {lr: {low: 1, high: .inf}}", "high must be a finite number; got inf"),
        ("space: {lr: {low: .nan, high: 1}}", "low must be a finite number; got nan"),
        ("space:\n  lr: {low: 1, high: 2}\n  lr: {low: 1, high: 3}", "the key lr is there twice"),
        ("space: {seed_everything: {low: 1, high: 2}}", "seed_everything is set by the study"),
        ("space: {--lr: {low: 1, high: 2}}", "a key is dotted as on the command line; got '--lr'"),
        ("arms: {a/b: {space: {lr: {low: 1, high: 2}}}}", "arm a/b must be named by letters"),
        ("arms: {a: {config: 3, space: {lr: {low: 1, high: 2}}}}", "config must be a file"),
        ("arms: {a: {values: {lr: 1}, space: {lr: {low: 1, high: 2}}}}", "lr has a value and a"),
    ],
)
def test_a_space_that_cannot_be_is_refused_with_its_key(space, content, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        space(content)
