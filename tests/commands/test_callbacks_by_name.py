import sys

import pytest
import yaml

from ranklight.__main__ import main
from tests.commands.command_line import build_parsers_once

QUICK = "experiments/digits/multi_similarity.yaml"


@pytest.fixture
def callbacks(tmp_path, monkeypatch, capsys):
    """The callbacks of the quick start with a variant over it and with options."""

    def resolve(variant, *options):
        file = tmp_path / "variant.yaml"
        file.write_text(yaml.safe_dump({"callbacks": variant}))
        build_parsers_once(monkeypatch)
        words = ["fit", "-c", QUICK, "-c", str(file), *options, "--print_config"]
        monkeypatch.setattr(sys, "argv", ["ranklight", *words])
        with pytest.raises(SystemExit) as stopped:
            main()
        said = capsys.readouterr()
        assert not stopped.value.code, said.err
        return yaml.safe_load(said.out)["callbacks"]

    return resolve


def test_a_variant_changes_an_argument_of_one_and_keeps_the_rest(callbacks):
    base, changed = callbacks({}), callbacks({"gallery": {"init_args": {"queries": 3}}})
    assert base["gallery"]["init_args"].pop("queries") != 3
    assert changed["gallery"]["init_args"].pop("queries") == 3
    assert changed == base


def test_so_does_the_command_line(callbacks):
    variant = {"gallery": {"init_args": {"queries": 3}}}
    changed = callbacks(variant, "--callbacks.gallery.init_args.neighbours", "4")
    assert changed["gallery"]["init_args"]["queries"] == 3
    assert changed["gallery"]["init_args"]["neighbours"] == 4


def test_null_drops_one_and_keeps_the_others(callbacks):
    base, dropped = callbacks({}), callbacks({"map": None})
    assert base.pop("map") is not None
    assert dropped.pop("map") is None
    assert dropped == base


def test_a_name_that_is_not_there_is_refused(callbacks):
    with pytest.raises(AssertionError, match="galery"):
        callbacks({"galery": None})
