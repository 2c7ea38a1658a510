import re

import pytest

from ranklight.studies.ledger import Ledger
from ranklight.studies.terms import agree, content_hash


def test_a_study_goes_on_with_its_own_terms_alone(tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    terms = {"trials": 3, "arms": ("a", "b")}
    agree(tmp_path, terms, ledger)
    agree(tmp_path, terms, ledger)
    assert [event["terms"] for event in ledger.events("started")] == [
        {"trials": 3, "arms": ["a", "b"]}
    ]
    with pytest.raises(ValueError, match=r"started with trials 3, this command has 4: give the"):
        agree(tmp_path, {**terms, "trials": 4}, ledger)
    with pytest.raises(ValueError, match=re.escape("with more null, this command has 1")):
        agree(tmp_path, {**terms, "more": 1}, ledger)


def test_contents_are_named_by_files_in_their_order(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text("ab")
    other.write_text("c")
    names = {content_hash(one, other), content_hash(other, one), content_hash(one)}
    one.write_text("a")
    other.write_text("bc")
    assert len(names | {content_hash(one, other)}) == 4


def test_a_ledger_that_somebody_edited_is_refused(tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.write("started")
    ledger.path.write_text(ledger.path.read_text() + "opened?\n")
    with pytest.raises(ValueError, match=r"ledger.jsonl must have an event in each line"):
        ledger.events("started")
