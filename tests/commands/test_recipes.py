"""Recipes that ship: each by its name, from any folder."""

import sys

import pytest

from ranklight.__main__ import main
from ranklight.commands.recipes import SHIPPED, find_recipe, shipped

QUICK = "digits/multi_similarity.yaml"
NO_EXPERIMENTS = {"trainer/slurm.yaml", "two_head/sweep_lambda.yaml"}


def test_lists_every_experiment_by_what_c_takes_and_a_sentence():
    recipes = list(shipped())
    files = {str(path.relative_to(SHIPPED)) for path in SHIPPED.rglob("*.yaml")}
    assert {recipe.files[-1] for recipe in recipes} == files - NO_EXPERIMENTS
    assert all((SHIPPED / file).is_file() for recipe in recipes for file in recipe.files)
    assert all(recipe.summary.endswith((".", "?")) for recipe in recipes)


def test_prints_a_recipe_and_its_first_sentence(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["ranklight", "recipes"])
    main()
    lines = capsys.readouterr().out.splitlines()
    described = dict(zip(lines[::2], lines[1::2], strict=True))
    assert described[f"-c {QUICK}"].strip() == "Digits 0..4 are learnt, digits 5..9 are searched."


@pytest.mark.parametrize("name", [QUICK, f"experiments/{QUICK}"])
def test_a_recipe_is_found_from_any_folder(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    assert find_recipe(name) == SHIPPED / QUICK


def test_a_file_that_is_there_wins(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    (tmp_path / QUICK).touch()
    assert find_recipe(QUICK).resolve() == tmp_path / QUICK


def test_a_name_that_is_neither_says_where_was_looked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError) as refused:
        find_recipe("digits/none.yaml")
    assert all(
        str(place) in str(refused.value) for place in ("digits/none.yaml", tmp_path, SHIPPED)
    )
