"""The pages say what the runs that are committed beside them give."""

import re
import shlex
from pathlib import Path

import pytest

from ranklight.__main__ import _COMMANDS
from ranklight.commands.results import RUNS, filled_page
from ranklight.studies.claims import read_claims

PAGES = sorted(Path("experiments").glob("*/RESULTS.md"))
KEPT = [page for page in PAGES if page.with_name(RUNS).exists()]
CLAIMS = [claim for of in read_claims(Path("docs/claims.yaml")).values() for claim in of]


@pytest.mark.parametrize("page", [*KEPT, Path("docs/claims.md"), Path("README.md")], ids=str)
def test_a_page_is_what_its_runs_give(page):
    text = page.read_text()
    assert "<!-- end -->" in text
    assert filled_page(page) == text


@pytest.mark.parametrize("page", [page for page in PAGES if page not in KEPT], ids=str)
def test_a_page_without_runs_says_so(page):
    assert "Raw runs not kept" in page.read_text()


def test_all_claims_of_the_six_papers_are_there():
    assert len(CLAIMS) == 36
    assert len({claim.id[0] for claim in CLAIMS}) == 6


def test_what_holds_or_does_not_has_been_tried():
    assert not [
        claim.id
        for claim in CLAIMS
        if claim.state in ("holds", "does not hold") and not claim.command
    ]


@pytest.mark.parametrize("claim", [claim for claim in CLAIMS if claim.command], ids=lambda c: c.id)
def test_the_command_of_a_claim_is_there(claim):
    program, verb, *words = [*shlex.split(claim.command), ""]
    if program == "make":
        assert re.search(f"^{verb}:", Path("Makefile").read_text(), re.MULTILINE)
    elif program == "ranklight":
        assert verb in _COMMANDS
        assert all(Path(word).exists() for word in words if word.startswith("experiments/"))
    else:
        assert Path(program).exists()
    assert not claim.experiment or Path("experiments", claim.experiment).is_dir()
