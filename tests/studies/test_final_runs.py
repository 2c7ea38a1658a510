import json

import pytest

from ranklight.studies.final_runs import FinalRuns
from ranklight.studies.ledger import Ledger
from ranklight.studies.search_space import Arm
from tests.studies.fake_runs import FakeCommands

ARMS = [Arm("one", (), {}, {}), Arm("other", ("other.yaml",), {}, {})]
CHOSEN = {"one": {"lr": 0.5}, "other": {"lr": 0.25}}


def score(words):
    return float(words["lr"]) + int(words["seed_everything"]) / 100


def final_runs(directory, commands):
    ledger = Ledger(directory / "ledger.jsonl")
    return FinalRuns(commands.runs(directory), ARMS, CHOSEN, [1, 2], ledger)


def events(directory):
    lines = (directory / "ledger.jsonl").read_text().splitlines()
    return [json.loads(line)["event"] for line in lines]


def test_fresh_seeds_are_fitted_before_one_step_tests_them_once(tmp_path):
    commands = FakeCommands(score)
    final = final_runs(tmp_path, commands)
    for _ in range(2):
        list(final.fit())
        list(final.test())
    assert [verb for verb, _, _ in commands.calls] == ["fit"] * 4 + ["test"] * 4
    assert {words.get("data.init_args.fold") for _, _, words in commands.calls} == {None}
    assert events(tmp_path) == ["test opened", "test closed"]
    assert final.scores() == {
        "one": {1: {"test/map@r": 0.51}, 2: {"test/map@r": 0.52}},
        "other": {1: {"test/map@r": 0.26}, 2: {"test/map@r": 0.27}},
    }


def test_a_test_that_was_stopped_goes_on_with_what_is_left(tmp_path):
    list(final_runs(tmp_path, FakeCommands(score)).fit())
    commands = FakeCommands(score)
    first = final_runs(tmp_path, commands).test()
    next(first)
    first.close()
    list(final_runs(tmp_path, commands).test())
    assert len(commands.calls) == 4
    assert events(tmp_path) == ["test opened", "test resumed", "test closed"]


def test_the_ledger_names_what_was_tested_by_hand(tmp_path):
    commands = FakeCommands(score)
    final = final_runs(tmp_path, commands)
    list(final.fit())
    run = tmp_path / "final" / "one" / "seed-1"
    commands(["test", "-c", str(run / "config.yaml"), "--ckpt_path", "best"], None)
    list(final.test())
    (opened,) = final.ledger.events("test opened")
    assert opened["tested_before"] == [str(run)]


def test_a_chosen_setting_that_fails_is_not_reported(tmp_path):
    commands = FakeCommands(score, lambda words: "FloatingPointError: nan")
    with pytest.raises(ValueError, match="the chosen setting of one failed with the seed 1"):
        list(final_runs(tmp_path, commands).fit())
