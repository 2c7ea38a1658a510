"""The command's own words, and where it finds classes."""

import sys
from pathlib import Path

import pytest

import ranklight
from ranklight.__main__ import main

COMMANDS = [
    "fit",
    "validate",
    "test",
    "predict",
    "decide",
    "doctor",
    "embed",
    "index",
    "search",
    "serve",
    "export",
    "push",
    "pull",
    "compare",
    "study",
    "results",
    "weights",
    "report",
    "digits",
    "recipes",
]


@pytest.fixture
def call(monkeypatch):
    def run(*arguments):
        monkeypatch.setattr(sys, "path", [*sys.path])
        monkeypatch.setattr(sys, "argv", ["ranklight", *arguments])
        main()

    return run


@pytest.mark.parametrize("arguments", [[], ["-h"], ["--help"]])
def test_help_has_a_line_for_every_command(call, capsys, arguments):
    call(*arguments)
    lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()[4:]]
    assert [name for name, _ in lines] == COMMANDS
    assert all(what for _, what in lines)


def test_version(call, capsys):
    call("--version")
    assert capsys.readouterr().out == f"ranklight {ranklight.__version__}\n"


def test_a_command_that_there_is_not(call, capsys):
    with pytest.raises(SystemExit) as stopped:
        call("train")
    assert stopped.value.code == 2
    assert capsys.readouterr().err.startswith("ranklight has no command train; it has fit, ")


def test_modules_of_this_folder_are_found_after_all_others(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = [*sys.path]
    call("--version")
    assert sys.path == [*before, str(Path.cwd())]
