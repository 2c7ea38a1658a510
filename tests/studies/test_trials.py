import json
import multiprocessing
import time
from statistics import fmean

import pytest
from optuna.trial import TrialState

from ranklight.studies.ledger import Ledger
from ranklight.studies.search_space import Arm, Between, OneOf
from ranklight.studies.trials import Search
from tests.studies.fake_runs import FakeCommands

ARM = Arm("one", (), {"fixed": 3}, {"lr": Between(0.1, 1.0, log=True), "k": OneOf(([1], "two"))})
OTHER = Arm("other", ("other.yaml",), {}, {"lr": Between(0.1, 1.0)})


def fold(words):
    return json.loads(words["data.init_args.fold"])[0]


def score(words):
    """Best at 0.5; folds differ by as much for all."""
    return 1 - (float(words["lr"]) - 0.5) ** 2 + fold(words) / 10


def settings(search, arm):
    return [trial.params for trial in search.of(arm)]


def test_every_arm_has_its_budget_and_every_trial_all_folds(tmp_path):
    commands = FakeCommands(score)
    search = Search(commands.runs(tmp_path), [ARM, OTHER], trials=4, folds=3, prune=False)
    assert len(list(search.run())) == 8
    assert len(commands.calls) == 24
    for arm in (ARM, OTHER):
        trials = search.of(arm)
        assert [trial.number for trial in trials] == [0, 1, 2, 3]
        for trial in trials:
            of_folds = [1.1 - (trial.params["lr"] - 0.5) ** 2 + n / 10 for n in (-1, 0, 1)]
            assert trial.value == pytest.approx(fmean(of_folds))
            assert trial.user_attrs["scores"] == pytest.approx(of_folds)
        nearest = min(trials, key=lambda trial: abs(trial.params["lr"] - 0.5))
        assert search.best(arm).number == nearest.number


def test_words_of_a_run_are_those_of_its_arm_trial_and_fold(tmp_path):
    commands = FakeCommands(score)
    search = Search(commands.runs(tmp_path), [ARM, OTHER], trials=1, folds=2, prune=False)
    list(search.run())
    (verb, run, words), *_, (_, _, last) = commands.calls
    assert (verb, run) == ("fit", tmp_path / "search" / "one" / "trial-0000" / "fold-0")
    assert {"c": "base.yaml", "fixed": "3", "seed_everything": "0"}.items() <= words.items()
    assert words["k"] in ("[1]", "two")
    assert (words["best.monitor"], words["best.mode"]) == ("val/map@r", "max")
    assert words["test_after_fit"] == "false"
    assert (last["c"], fold(last)) == ("other.yaml", 1)


def test_of_a_score_that_falls_the_smallest_is_best(tmp_path):
    commands = FakeCommands(lambda words: float(words["lr"]))
    search = Search(commands.runs(tmp_path, "min"), [OTHER], trials=5, folds=1)
    list(search.run())
    lowest = min(setting["lr"] for setting in settings(search, OTHER))
    assert search.choose(Ledger(tmp_path / "ledger.jsonl")) == {"other": {"lr": lowest}}
    assert "data.init_args.fold" not in commands.calls[0][2]


def test_a_trial_below_the_median_ends_early_and_is_never_chosen(tmp_path):
    commands = FakeCommands(score)
    search = Search(commands.runs(tmp_path), [OTHER], trials=30, folds=3, sampler="random")
    list(search.run())
    trials = search.of(OTHER)
    pruned = [trial for trial in trials if trial.state == TrialState.PRUNED]
    assert pruned
    assert all(len(trial.user_attrs["scores"]) < 3 for trial in pruned)
    assert len(commands.calls) == sum(len(trial.user_attrs["scores"]) for trial in trials)
    assert search.best(OTHER).state == TrialState.COMPLETE


def test_a_setting_that_diverges_is_a_trial_that_failed(tmp_path):
    commands = FakeCommands(
        score, lambda w: "FloatingPointError: nan" if float(w["lr"]) > 0.5 else "finished"
    )
    search = Search(commands.runs(tmp_path), [OTHER], trials=6, folds=2, prune=False)
    list(search.run())
    trials = search.of(OTHER)
    assert len(trials) == 6
    failed = [trial for trial in trials if trial.state == TrialState.FAIL]
    assert {t.number for t in failed} == {t.number for t in trials if t.params["lr"] > 0.5}
    assert failed[0].user_attrs["reason"] == "FloatingPointError: nan"


def test_where_all_fail_nothing_is_chosen(tmp_path):
    commands = FakeCommands(score, lambda words: "OutOfMemoryError: 2 GB")
    search = Search(commands.runs(tmp_path), [OTHER], trials=2, folds=2)
    list(search.run())
    with pytest.raises(ValueError, match="no trial of the arm other came to its end"):
        search.best(OTHER)


def test_what_was_stopped_goes_on_as_if_it_had_not_been(tmp_path):
    whole = Search(FakeCommands(score).runs(tmp_path / "whole"), [ARM], 12, 2, prune=False)
    list(whole.run())

    def broken(words):
        return "ValueError: no disk" if len(stopped.calls) == 22 else "finished"

    stopped = FakeCommands(score, broken)
    with pytest.raises(ValueError, match=r"fold-1 ended with code 1.*give the same command again"):
        list(Search(stopped.runs(tmp_path / "parts"), [ARM], 12, 2, prune=False).run())
    again = FakeCommands(score)
    parts = Search(again.runs(tmp_path / "parts"), [ARM], 12, 2, prune=False)
    list(parts.run())
    # Eleven trials begun, the last of them at its second fold.
    assert [call[1].name for call in again.calls] == ["fold-1", "fold-0", "fold-1"]
    assert settings(parts, ARM) == settings(whole, ARM)
    assert [t.value for t in parts.of(ARM)] == [t.value for t in whole.of(ARM)]


def test_several_processes_share_one_budget(tmp_path):
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=work, args=(tmp_path,)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    search = Search(FakeCommands(score).runs(tmp_path), [ARM, OTHER], 6, 2, prune=False)
    assert [len(search.of(arm)) for arm in (ARM, OTHER)] == [6, 6]
    done = [line.split() for line in (tmp_path / "done.txt").read_text().splitlines()]
    assert len(done) == 24
    assert len({run for _, run in done}) == 24
    assert len({worker for worker, _ in done}) > 1


def work(directory):
    def slowly(words):
        time.sleep(0.02)
        with (directory / "done.txt").open("a") as file:
            process = multiprocessing.current_process().name
            file.write(f"{process} {words['experiment']}/{words['run']}\n")
        return score(words)

    list(Search(FakeCommands(slowly).runs(directory), [ARM, OTHER], 6, 2, prune=False).run())
