"""Numbers in pages, from committed runs."""

import subprocess
import sys
from pathlib import Path

import pytest

from ranklight.__main__ import main
from ranklight.commands import rerun as rerunning
from ranklight.studies.prediction import prediction_interval
from ranklight.studies.results_file import read_results_file
from ranklight.studies.results_page import filled

RUNS = """experiment,seed,test/map
ours/a,0,0.5
ours/a,1,0.75
ours/b,0,0.25
ours/b,1,0.25
"""
PAGE = """# Ours

<!-- compare --metrics test/map --paired ours/b -->
<!-- end -->

It is <!-- mean ours/a test/map -->old<!-- end -->, more by
<!-- difference ours/a test/map ours/b --><!-- end -->. <!-- a note -->
"""


@pytest.fixture
def page(tmp_path):
    (tmp_path / "results.csv").write_text(RUNS)
    (page := tmp_path / "RESULTS.md").write_text(PAGE)
    return page


def results(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["ranklight", "results", *map(str, words)])
    main()


def refused(monkeypatch, capsys, *words):
    with pytest.raises(SystemExit) as ended:
        results(monkeypatch, *words)
    assert ended.value.code == 2
    return capsys.readouterr().err


def test_tables_and_numbers_are_written_and_stay(page, monkeypatch):
    results(monkeypatch, page)
    text = page.read_text()
    assert "\n| ours/a | 2 | **0.625 ± 1.588** |\n" in text
    assert "\n| ours/a | 2 | 0.375 ± 1.588 | 0.205 | 0.205 |\n<!-- end -->" in text
    assert "It is <!-- mean ours/a test/map -->0.625 ± 1.588<!-- end -->, more by\n" in text
    assert "<!-- difference ours/a test/map ours/b -->0.375 ± 1.588<!-- end -->." in text
    results(monkeypatch, "--check", page)
    assert page.read_text() == text


def test_a_page_that_differs_is_refused_and_stays(page, monkeypatch, capsys):
    assert "not what the runs beside them give" in refused(monkeypatch, capsys, "--check", page)
    assert page.read_text() == PAGE


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<!-- mean ours/a test/map -->", "needs an <!-- end --> after it"),
        ("<!-- mean ours/a test/map -->1 <!-- mean ours/b test/map -->2<!-- end -->", "needs an"),
        ("<!-- mean ours/a -->1<!-- end -->", "it is written mean ROW METRIC; got ours/a"),
        ("<!-- mean ours/c test/map -->1<!-- end -->", "has no ours/c with test/map"),
        ("<!-- difference ours/a test/map c -->1<!-- end -->", "needs ours/a and c with test/map"),
        ("<!-- compare --metrics test/nmi -->1<!-- end -->", "it has no test/nmi"),
    ],
)
def test_what_cannot_be_answered_is_named(page, monkeypatch, capsys, text, said):
    page.write_text(text)
    assert said in refused(monkeypatch, capsys, page)
    assert page.read_text() == text


def test_runs_of_another_folder_are_named_first(page, monkeypatch):
    other = page.parent / "README.md"
    (folder := page.parent / "ours").mkdir()
    page.with_name("results.csv").rename(folder / "results.csv")
    other.write_text("<!-- mean ours/results.csv ours/b test/map --><!-- end -->")
    results(monkeypatch, other)
    assert "-->0.250 ± 0.000<!-- end -->" in other.read_text()


def test_words_that_are_no_verb_stay():
    assert filled("<!-- a --> <!-- end -->", {"b": lambda words: "c"}) == "<!-- a --> <!-- end -->"


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ("A:\n- {id: A1, claim: c, state: maybe, because: b}", "A1 is 'maybe', not holds"),
        ("A:\n- {id: A1, claim: c}", "must map papers to lists of claims"),
        ("A:\n" + "- {id: A1, claim: c, state: holds, because: b}\n" * 2, "A1 is there twice"),
    ],
)
def test_claims_that_are_none_are_refused(page, monkeypatch, capsys, claims, said):
    page.with_name("claims.yaml").write_text(claims)
    page.write_text("<!-- claims claims.yaml --><!-- end -->")
    assert said in refused(monkeypatch, capsys, page)


def test_a_claim_has_its_number_from_its_folder(page, monkeypatch):
    (folder := page.parent / "loss").mkdir()
    page.with_name("results.csv").rename(folder / "results.csv")
    number = "numbers: [loss ours/a test/map ours/b, loss ours/a test/map]"
    page.with_name("claims.yaml").write_text(
        f"Paper:\n- {{id: P1, claim: a > b, state: undecided, because: So, {number}, command: x}}"
    )
    page.write_text("<!-- claims claims.yaml --><!-- end -->")
    results(monkeypatch, page)
    assert "1 claims: 0 holds, 0 does not hold, 1 undecided" in page.read_text()
    numbers = "`ours/a` minus `ours/b`, test/map: 0.375 ± 1.588; `ours/a`, test/map: 0.625 ± 1.588"
    row = f"| P1 | a > b | undecided | So {numbers}. |"
    assert row in page.read_text()
    assert "- P1: `x`" in page.read_text()


def test_one_more_run_is_expected_where_simulated_runs_are():
    import numpy as np

    drawn = np.random.default_rng(0).normal(size=(4000, 4))
    held = 0
    for *known, further in drawn.tolist():
        low, high = prediction_interval(known)
        held += low <= further <= high
    assert held / len(drawn) == pytest.approx(0.95, abs=0.015)


def test_a_rerun_says_what_moved(page):
    runs = read_results_file(page.with_name("results.csv")).runs
    of_a, of_b = runs[:2], runs[2:]
    inside, outside = {"test/map": 0.6}, {"test/map": 0.3}
    assert rerunning.moved_sheet(of_a[0], of_a, inside).rows[0][-1] == ""
    (row,) = rerunning.moved_sheet(of_b[0], of_b, outside).rows
    assert row == ["test/map", "0.250", "0.250 .. 0.250", "0.300", "moved"]


def test_a_rerun_trains_by_the_command_of_the_experiment(page, monkeypatch, capsys):
    monkeypatch.chdir(page.parent)
    experiment = Path("experiments/ours/a.yaml")
    experiment.parent.mkdir(parents=True)
    experiment.write_text("# ranklight fit -c base.yaml --test_after_fit true -c a.yaml\n")
    called = []

    def train(words, check):
        called.append(words)
        run = Path("runs/ours/a", words[words.index("--run") + 1])
        run.mkdir(parents=True)
        (run / "run.json").write_text('{"stages": [{"stage": "fit", "outcome": "finished"}]}')
        (run / "metrics.csv").write_text("step,test/map\n1,0.5\n")
        return subprocess.CompletedProcess(words, 0)

    monkeypatch.setattr(rerunning.subprocess, "run", train)
    results(monkeypatch, "--rerun", page)
    assert called[0][2:8] == ["ranklight", "fit", "-c", "base.yaml", "-c", "a.yaml"]
    assert called[0][-4:] == ["--seed_everything", "0", "--test_after_fit", "true"]
    assert "ours/a, seed 0, against 2 committed runs" in capsys.readouterr().out


def test_a_rerun_that_fails_is_said(page, monkeypatch, capsys):
    monkeypatch.chdir(page.parent)
    assert "a.yaml" in refused(monkeypatch, capsys, "--rerun", page)
