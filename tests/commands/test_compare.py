import math
import sys

import pytest
from scipy import stats

from ranklight.__main__ import main
from ranklight.commands.compare import summarise
from ranklight.running import MetricsFile


@pytest.fixture
def runs(tmp_path):
    for experiment, weight, scores in (("a", 0.0, [0.5, 0.6, 0.7]), ("b", 2.0, [0.8])):
        for seed, score in enumerate(scores):
            run = tmp_path / experiment / str(seed)
            file = MetricsFile(run)
            file.log_metrics({"test/recall@1": 0.0}, step=1)
            file.log_metrics({"test/recall@1": score}, step=2)
            (run / "config.yaml").write_text(
                f"experiment: {experiment}\nmodel: {{init_args: {{weight: {weight}}}}}\n"
            )
    return tmp_path


def ranklight(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["ranklight", "compare", *arguments])
    main()


def test_the_interval_is_students():
    values = [0.5, 0.6, 0.7, 0.65]
    mean, half_width, _ = summarise(values)
    low, high = stats.t.interval(0.95, 3, loc=mean, scale=stats.sem(values))
    assert (mean - half_width, mean + half_width) == pytest.approx((low, high))
    assert math.isnan(summarise([1.0]).half_width)


def test_a_row_an_experiment(runs, monkeypatch, capsys):
    table = runs / "table.md"
    arguments = [str(runs), "--metrics", "test/recall@1", "--output", str(table)]
    ranklight(monkeypatch, *arguments)
    assert table.read_text().splitlines()[2:] == ["| a | 3 | 0.600 ± 0.248 |", "| b | 1 | 0.800 |"]
    assert "0.600 ± 0.248" in capsys.readouterr().out


def test_a_row_a_value_of_a_setting_and_a_picture(runs, monkeypatch):
    plot, table = runs / "plot.png", runs / "table.md"
    options = ["--against", "model.init_args.weight", "--plot", str(plot), "--output", str(table)]
    ranklight(monkeypatch, str(runs), "--metrics", "test/recall@1", *options)
    assert plot.stat().st_size > 1000
    assert "| 2.0 | 1 | 0.800 |" in table.read_text()


def test_a_metric_that_was_not_logged(runs, monkeypatch):
    with pytest.raises(ValueError, match=r"no val/nmi; it has test/recall@1"):
        ranklight(monkeypatch, str(runs), "--metrics", "val/nmi")


def test_no_runs(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"no metrics\.csv below"):
        ranklight(monkeypatch, str(tmp_path), "--metrics", "val/nmi")
