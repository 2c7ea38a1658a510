import json
import math
import sys

import pytest
from scipy import stats

from ranklight.__main__ import main
from ranklight.running import MetricsFile
from ranklight.studies.intervals import student_interval


@pytest.fixture
def runs(tmp_path):
    for experiment, weight, scores in (("a", 0.0, [0.5, 0.6, 0.7]), ("b", 2.0, [0.8])):
        for seed, score in enumerate(scores):
            run = tmp_path / experiment / str(seed)
            file = MetricsFile(run)
            file.log_metrics({"test/recall@1": 0.0}, step=1)
            file.log_metrics({"test/recall@1": score}, step=2)
            record = {"stage": "fit", "outcome": "finished"}
            (run / "run.json").write_text(json.dumps({"stages": [record]}))
            (run / "config.yaml").write_text(
                f"experiment: {experiment}\nmodel: {{init_args: {{weight: {weight}}}}}\n"
            )
    return tmp_path


def ranklight(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["ranklight", "compare", *arguments])
    main()


def test_the_interval_is_students():
    values = [0.5, 0.6, 0.7, 0.65]
    mean, half_width, p_value, _ = student_interval(values)
    low, high = stats.t.interval(0.95, 3, loc=mean, scale=stats.sem(values))
    assert (mean - half_width, mean + half_width) == pytest.approx((low, high))
    assert p_value == pytest.approx(stats.ttest_1samp(values, 0).pvalue)
    assert math.isnan(student_interval([1.0]).half_width)


def test_a_row_an_experiment(runs, monkeypatch, capsys):
    table = runs / "table.md"
    arguments = [str(runs), "--metrics", "test/recall@1", "--output", str(table)]
    ranklight(monkeypatch, *arguments)
    assert table.read_text().splitlines()[2:] == [
        "| a | 3 | 0.600 ± 0.248 |",
        "| b | 1 | **0.800** |",
    ]
    assert "0.600 ± 0.248" in capsys.readouterr().out


def test_a_row_a_value_of_a_setting_and_a_picture(runs, monkeypatch):
    plot, table = runs / "plot.png", runs / "table.md"
    options = ["--against", "model.init_args.weight", "--plot", str(plot), "--output", str(table)]
    ranklight(monkeypatch, str(runs), "--metrics", "test/recall@1", *options)
    assert plot.stat().st_size > 1000
    assert "| 2.0 | 1 | **0.800** |" in table.read_text()


def stages(run, *records):
    (run / "run.json").write_text(json.dumps({"stages": records}))


def a_test(run, score, checkpoint="best"):
    scores = {"test/recall@1": score}
    file = str(run / "checkpoints" / f"{checkpoint}.ckpt")
    return {"stage": "test", "outcome": "finished", "checkpoint": file, "scores": scores}


FIT = {"stage": "fit", "outcome": "finished"}


def compared(runs, monkeypatch, capsys, *options, metrics=("test/recall@1",)):
    table = runs / "table.md"
    ranklight(monkeypatch, str(runs), "--metrics", *metrics, *options, "--output", str(table))
    return table.read_text().splitlines()[2:], capsys.readouterr().out


def refused(runs, monkeypatch, capsys, *options):
    with pytest.raises(SystemExit) as ended:
        ranklight(monkeypatch, str(runs), *options)
    assert ended.value.code == 2
    return capsys.readouterr().err


def test_the_test_of_the_runs_own_best_counts(runs, monkeypatch, capsys):
    run = runs / "b" / "0"
    of_last, of_another = a_test(run, 0.1, "last"), a_test(runs / "a" / "1", 0.2)
    stages(run, FIT, a_test(run, 0.3), a_test(run, 0.4), of_last, of_another)
    lines, _ = compared(runs, monkeypatch, capsys)
    assert lines[1] == "| b | 1 | 0.400 |"


@pytest.mark.parametrize(
    ("records", "reason"),
    [
        ([], "no fit of it is recorded"),
        ([{"stage": "test"}], "it was not fitted, only test"),
        ([{"stage": "fit", "outcome": "running"}], "its fit saved nothing"),
        (["test", FIT], "its own best.ckpt was not tested since it was fitted"),
        ([FIT, "test of last"], "its own best.ckpt was not tested"),
        ([FIT, "NaN"], "its test/recall@1 is None, no number"),
    ],
)
def test_what_is_no_fit_with_a_test_is_left_out(runs, monkeypatch, capsys, records, reason):
    run = runs / "a" / "0"
    kinds = {
        "test": a_test(run, 0.9),
        "test of last": a_test(run, 0.9, "last"),
        "NaN": a_test(run, None),
    }
    stages(run, *(kinds[each] if isinstance(each, str) else each for each in records))
    lines, said = compared(runs, monkeypatch, capsys)
    assert lines[0].startswith("| a | 2 | 0.650 ±")
    assert f"left out: {run}: {reason}" in said


def test_a_run_without_the_metric_leaves_the_table_of_the_others(runs, monkeypatch, capsys):
    (runs / "a" / "0" / "metrics.csv").write_text("step,test/recall@1\n")
    lines, said = compared(runs, monkeypatch, capsys)
    assert lines[0].startswith("| a | 2 |")
    assert "it has no test/recall@1; it has no scores" in said


def test_a_metric_that_no_run_has(runs, monkeypatch, capsys):
    said = refused(runs, monkeypatch, capsys, "--metrics", "val/nmi")
    assert "no run to compare" in said
    assert "no val/nmi; it has test/recall@1" in said


def test_a_key_that_is_not_there(runs, monkeypatch, capsys):
    (runs / "b" / "0" / "config.yaml").write_text("experiment: b\nmodel: null\n")
    key = ["--against", "model.init_args.weight"]
    lines, said = compared(runs, monkeypatch, capsys, *key)
    assert [line[:9] for line in lines] == ["| 0.0 | 3"]
    assert "its config.yaml has no model.init_args.weight" in said


def test_no_runs(tmp_path, monkeypatch, capsys):
    said = refused(tmp_path, monkeypatch, capsys, "--metrics", "val/nmi")
    assert "no metrics.csv and no run.json below" in said
