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


def test_only_the_rows_that_are_asked_for(runs, monkeypatch, capsys):
    table = runs / "table.md"
    ranklight(
        monkeypatch, str(runs), "--metrics", "test/recall@1", "--output", str(table), "--rows", "b*"
    )
    assert table.read_text().splitlines()[2:] == ["| b | 1 | 0.800 |"]
    with pytest.raises(SystemExit):
        ranklight(monkeypatch, str(runs), "--metrics", "test/recall@1", "--rows", "b", "c*")
    assert "--rows c* names none of a, b" in capsys.readouterr().err


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
        ([{"stage": "test", "outcome": "finished"}], "it was not fitted, only test"),
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


def keep_scores(run, scores):
    """As a test keeps them: the mean is the run's own score."""
    import pyarrow as pa
    from pyarrow import parquet

    (run / "scores").mkdir(exist_ok=True)
    columns = {"id": list(range(len(scores))), "recall@1": [float(score) for score in scores]}
    parquet.write_table(pa.table(columns), run / "scores" / "test.parquet")
    stages(run, FIT_OF[run.name], a_test(run, sum(scores) / len(scores)))


FIT_OF = {
    name: {**FIT, "seed": int(name), "split_hash": "ab", "git": {"commit": "c", "dirty": False}}
    for name in "012"
}


@pytest.fixture
def two_arms(runs):
    """Base a with 10 queries of which 5 are right or so, b with more."""
    for arm, right in (("a", (5, 6, 4)), ("b", (7, 8, 7))):
        for seed, count in enumerate(right):
            run = runs / arm / str(seed)
            run.mkdir(parents=True, exist_ok=True)
            (run / "config.yaml").write_text(
                f"experiment: {arm}\nmodel: {{weight: {arm == 'b'}}}\n"
                f"data: {{class_path: ours.{'Cars' if seed else 'Birds'}}}\n"
            )
            (run / "metrics.csv").write_text("step,test/recall@1\n")
            keep_scores(run, [query < count for query in range(10)])
    return runs


def test_differences_within_a_seed_and_the_seeds_they_take(two_arms, monkeypatch, capsys):
    options = ["--paired", "a", "--power", "0.1"]
    lines, _ = compared(two_arms, monkeypatch, capsys, *options)
    peer = stats.ttest_rel([0.7, 0.8, 0.7], [0.5, 0.6, 0.4])
    half = stats.t.ppf(0.975, 2) * stats.sem([0.2, 0.2, 0.3])
    p = f"{peer.pvalue:.3f}"
    assert lines[3:] == [
        "**test/recall@1 minus that of a, within a seed**",
        "",
        "| experiment | pairs | difference | p | p (Holm) | seeds for 0.1 |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        f"| b | 3 | 0.233 ± {half:.3f} | {p} | {p} | 5 |",
    ]


def test_the_best_is_bold_where_the_metric_says_which_way(two_arms, monkeypatch, capsys):
    lines, _ = compared(two_arms, monkeypatch, capsys)
    assert ["**" in line for line in lines] == [False, True]


def test_intervals_over_queries_are_wider(two_arms, monkeypatch, capsys):
    (of_seeds, *_), _ = compared(two_arms, monkeypatch, capsys)
    (of_both, *_), said = compared(two_arms, monkeypatch, capsys, "--queries")
    width, wider = (float(line.split(" ± ")[1].split()[0]) for line in (of_seeds, of_both))
    assert wider > width
    assert "left out" not in said


def test_a_run_whose_scores_of_queries_are_gone_is_left_out(two_arms, monkeypatch, capsys):
    (two_arms / "b" / "0" / "scores" / "test.parquet").unlink()
    lines, said = compared(two_arms, monkeypatch, capsys, "--queries")
    assert "| b | 2 |" in lines[1]
    assert "is no mean over queries in its scores/ (no file)" in said


def test_latex_numbers_and_kept_runs(two_arms, monkeypatch, capsys):
    tex, numbers, kept = (two_arms / name for name in ("t.tex", "t.csv", "runs.csv"))
    both = ["--metrics", "test/recall@1", "--paired", "a"]
    files = ["--output", str(tex), str(numbers), "--keep_runs", str(kept)]
    ranklight(monkeypatch, str(two_arms), *both, *files)
    assert r"b & 3 & \textbf{0.733 $\pm$ 0.143} \\" in tex.read_text()
    assert tex.read_text().count(r"\bottomrule") == 2
    a, b = (line.split(",") for line in numbers.read_text().splitlines()[1:])
    assert a[:4] == ["a", "test/recall@1", "3", "0.5"]
    assert (b[5], float(b[7])) == ("a", pytest.approx(0.7 / 3))
    ranklight(monkeypatch, str(kept), *both, "--output", str(again := two_arms / "again.tex"))
    assert again.read_text() == tex.read_text()


def test_ranks_over_data_sets(two_arms, monkeypatch, capsys):
    options = ["--against", "model.weight", "--ranks", "data.class_path"]
    lines, _ = compared(two_arms, monkeypatch, capsys, *options)
    assert lines == [
        "| model.weight | Birds | Cars | mean rank |",
        "| --- | ---: | ---: | ---: |",
        "| True | **0.700** | **0.750 ± 0.635** | **1.00** |",
        "| False | 0.500 | 0.500 ± 1.271 | 2.00 |",
    ]


def test_runs_of_two_splits_are_refused_unless_they_are_meant(two_arms, monkeypatch, capsys):
    run = two_arms / "b" / "2"
    stages(run, {**FIT_OF["2"], "split_hash": "cd"}, a_test(run, 0.7))
    said = refused(two_arms, monkeypatch, capsys, "--metrics", "test/recall@1")
    assert "the runs must have one split of the data; got 2" in said
    lines, _ = compared(two_arms, monkeypatch, capsys, "--across_splits")
    assert len(lines) == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "compare needs --metrics"),
        (("--metrics", ""), "an argument is empty"),
        (("none", "--metrics", "test/recall@1"), "there is no run in none"),
        (("none.csv", "--metrics", "test/recall@1"), "there is no CSV of runs none.csv"),
        (("--metrics", "test/recall@1", "--output", "a.md", "a.md"), "written twice"),
        (("--metrics", "test/recall@1", "--plot", "a.foo"), "--plot must end in"),
        (("--metrics", "test/nope"), " and "),
        (("--metrics", "test/recall@1", "--power", "0.1"), "give --paired BASE"),
        (("--metrics", "test/recall@1", "--paired", "c"), "needs one of the rows, a, b"),
        (("--metrics", "test/recall@1", "--ranks", "data"), "--ranks needs --against"),
        (("--metrics", "test/recall@1", "--output", "t.doc"), "writes .md, .tex and .csv"),
        (("--metrics", "test/recall@1", "--paired", "a", "--power", "0"), "other than 0"),
        (
            ("--metrics", "test/recall@1", "--paired", "a", "--power", "1", "2"),
            "one for each of 1 metrics; got 2",
        ),
    ],
)
def test_options_that_do_not_go_together(two_arms, monkeypatch, capsys, options, said):
    assert said in refused(two_arms, monkeypatch, capsys, *options)


def test_pairs_need_one_run_a_seed(two_arms, monkeypatch, capsys):
    again = two_arms / "a" / "again"
    again.mkdir()
    for file in ("config.yaml", "run.json"):
        (again / file).write_text(
            (two_arms / "a" / "1" / file).read_text().replace("/1/", "/again/")
        )
    (again / "metrics.csv").write_text("step\n")
    said = refused(two_arms, monkeypatch, capsys, "--metrics", "test/recall@1", "--paired", "b")
    assert "a has seed 1 in" in said


def test_what_is_read_is_not_written_over(tmp_path, monkeypatch, capsys):
    (file := tmp_path / "r.csv").write_text(text := "experiment,seed,test/map\na,1,0.5\n")
    for options in (["--metrics", "test/map", "--output"], ["--keep_runs"]):
        with pytest.raises(SystemExit, match="2"):
            ranklight(monkeypatch, str(file), *options, str(file))
        assert "is what is read here, and would be lost" in capsys.readouterr().err
    assert file.read_text() == text


def test_names_are_shown_and_written_as_they_are(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    names = ["[/x]", ":cat: a|b_c", "long/" * 20]
    rows = "".join(f"{name},1,0.5\n" for name in names)
    (file := tmp_path / "r.csv").write_text(f"experiment,seed,test/map\n{rows}")
    tables = [str(tmp_path / "t.md"), str(tmp_path / "t.tex")]
    ranklight(monkeypatch, str(file), "--metrics", "test/map", "--output", *tables)
    said = capsys.readouterr().out
    assert "[/x]" in said
    assert ":cat: a|b_c" in said
    assert said.count("0.500") == 3
    assert r"| :cat: a\|b_c | 1 |" in (tmp_path / "t.md").read_text()
    assert r"{[}/x] & 1 &" in (tmp_path / "t.tex").read_text()
