"""Runs from CSVs, from W&B's own files, and the scores of their queries."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from ranklight.studies.one_split import cautions, check_one_split
from ranklight.studies.query_scores import query_scores, stacked
from ranklight.studies.results_file import read_results_file, write_results_file
from ranklight.studies.run_scores import LeftOutError, RunScores
from ranklight.studies.wandb_runs import read_wandb

VERSIONS = {"torch": "2.14.1", "faiss": "1.15.1"}


def a_run(seed=0, directory=None, scores=None, **more):
    scores = scores or {"test/recall@1": float(np.float32(0.1) + seed)}
    return RunScores(f"run{seed}", "a", seed, scores, directory=directory, **more)


def test_a_csv_gives_back_what_was_written(tmp_path):
    known = {"commit": "c0ffee", "dirty": True, "split_hash": "ab", "versions": VERSIONS}
    runs = [a_run(1, **known), a_run(0, scores={"test/map@r": 0.25})]
    file = tmp_path / "results.csv"
    write_results_file(file, runs)
    found = read_results_file(file)
    assert [run.seed for run in found.runs] == [0, 1]
    again = found.runs[1]._replace(name="run1")
    assert np.float32(again.scores["test/recall@1"]) == np.float32(1.1)
    assert again._replace(scores=runs[0].scores) == runs[0]
    assert [path.name for path in tmp_path.iterdir()] == ["results.csv"]


def test_a_csv_keeps_the_values_of_keys(tmp_path):
    file, config = tmp_path / "results.csv", {"model": {"weight": 0.5, "name": "a"}}
    write_results_file(file, [a_run(config=config)], ["model.weight", "model.name"])
    assert read_results_file(file).runs[0].config == config


def test_a_row_without_the_metric_is_left_out(tmp_path):
    file = tmp_path / "results.csv"
    write_results_file(file, [a_run(0), a_run(1, scores={"test/map@r": 0.25})])
    found = read_results_file(file, ["test/map@r"])
    assert [run.seed for run in found.runs] == [1]
    assert found.left_out == {f"{file}:2": "it has no test/map@r; it has test/recall@1"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it has 0 rows and no columns"),
        ("name,test/map\na,1\n", "column experiment"),
        ("experiment,test/map\na,many\n", "its test/map is 'many'"),
        ("experiment,test/map\na,nan\n", "its test/map is 'nan'"),
        ("experiment,test/map\na\n", "a value for each of 2 columns"),
        ("experiment,test/map\na,1,2\n", "a value for each of 2 columns"),
        ("experiment,x,test/map\na,[,1\n", "as YAML writes it for x"),
        ("experiment,a,a.b,test/map\na,1,2,1\n", "as YAML writes it for a.b"),
        ("experiment,seed,test/map\na,x,1\n", "a whole number, or nothing, for its seed"),
        ("experiment,versions,test/map\na,torch,1\n", "package==version"),
        ("experiment,test/map\n ,1\n", "must name its experiment"),
        ("experiment,test/map,test/map\na,1,1\n", "each column once"),
    ],
)
def test_a_csv_of_something_else_is_refused(tmp_path, text, said):
    (file := tmp_path / "results.csv").write_text(text)
    with pytest.raises(ValueError, match=said):
        read_results_file(file)


@pytest.fixture(scope="module")
def offline(tmp_path_factory):
    """What W&B writes without a server: a run that goes on, and one larger than its blocks."""
    import wandb

    root = tmp_path_factory.mktemp("offline")
    settings = wandb.Settings(mode="offline", silent=True, x_disable_stats=True)
    quiet = {"WANDB_DIR": str(root), "WANDB_SILENT": "true"}
    before = {name: os.environ.get(name) for name in quiet}
    os.environ.update(quiet)
    for run, score, long in (("one", 0.5, ""), ("one", 0.75, ""), ("two", 0.25, "x" * 70000)):
        config = {"seed_everything": len(run + long), "model": {"weight": 0.5}, "long": long}
        with wandb.init(id=run, group="a", config=config, dir=root, settings=settings) as began:
            began.log({"test/recall@1": score, "train/loss": 1.0})
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.update({name: value})
    return root


def test_offline_runs_are_read_from_wandbs_own_files(offline):
    runs = read_wandb(str(offline)).runs
    one, two = sorted(runs, key=lambda run: len(run.config["long"]))
    assert (one.experiment, one.seed, dict(one.scores)) == ("a", 3, {"test/recall@1": 0.75})
    assert one.config["model"] == {"weight": 0.5}
    assert (two.seed, len(two.config["long"])) == (70003, 70000)


def test_an_offline_run_that_was_cut_is_read_up_to_there(offline, tmp_path):
    (whole,) = offline.rglob("run-two.wandb")
    (tmp_path / whole.name).write_bytes(whole.read_bytes()[:-9])
    assert read_wandb(str(tmp_path)).runs[0].scores == {"test/recall@1": 0.25}


def test_wandb_without_the_metric_without_runs_and_of_another_kind(offline, tmp_path):
    found = read_wandb(str(offline), ["test/nmi"])
    assert not found.runs
    assert set(found.left_out.values()) == {"it has no test/nmi; it has test/recall@1, train/loss"}
    with pytest.raises(FileNotFoundError, match="no W&B run below"):
        read_wandb(str(tmp_path))
    (tmp_path / "run-a.wandb").write_bytes(b"something else")
    with pytest.raises(ValueError, match="must be a log that W&B wrote"):
        read_wandb(str(tmp_path))


def write(folder: Path, name: str, **columns):
    (folder / "scores").mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.table(columns), folder / "scores" / f"{name}.parquet")


def test_scores_of_queries_are_in_the_order_of_their_ids(tmp_path):
    columns = {"recall@1": np.array([0.0, 1.0, np.nan]), "map@r": np.array([0.2, 0.4, 0.6])}
    write(tmp_path, "test", id=[7, 3, 5], **columns)
    found = query_scores(a_run(0, tmp_path, {"test/recall@1": 0.5}), "test/recall@1")
    assert (found.ids.tolist(), found.values.tolist()) == ([3, 7], [1.0, 0.0])


def test_a_data_set_of_several_has_a_file_of_its_own(tmp_path):
    write(tmp_path, "test-cars", id=[0, 1], **{"by/recall@1": np.array([1.0, 0.0])})
    metric = "test/cars/by/recall@1"
    assert len(query_scores(a_run(0, tmp_path, {metric: 0.5}), metric).ids) == 2


def test_triplets_are_summed_over_queries(tmp_path):
    shown = {"similarity_precision": np.array([1.0, 0.0, 1.0, 1.0]), "score@30": [1, -1, 0, 3]}
    write(tmp_path, "test-triplets", query=[4, 2, 4, 4], **shown)
    scores = {"test/similarity_precision": 0.75, "test/score@30": 3.0}
    precision, score = (query_scores(a_run(0, tmp_path, scores), name) for name in scores)
    assert (precision.ids.tolist(), precision.weights.tolist()) == ([2, 4], [1, 3])
    assert precision.values.tolist() == [0, 3]
    assert score.values.sum() / score.weights.sum() == 3


def test_scores_of_another_test_or_of_none_are_left_out(tmp_path):
    write(tmp_path, "test", id=[0, 1], **{"recall@1": np.array([1.0, 0.0])})
    scores = {"test/recall@1": 0.7, "test/nmi": 0.5}
    with pytest.raises(LeftOutError, match=r"give test/recall@1 0\.5000, its own test 0\.7000"):
        query_scores(a_run(0, tmp_path, scores), "test/recall@1")
    with pytest.raises(LeftOutError, match="test/nmi is no mean over queries"):
        query_scores(a_run(0, tmp_path, scores), "test/nmi")
    with pytest.raises(LeftOutError, match="not kept"):
        query_scores(a_run(0, None, scores), "test/recall@1")


def test_other_queries_do_not_stand_beside_each_other(tmp_path):
    for name, ids in (("a", [0, 1]), ("b", [1, 2])):
        write(tmp_path / name, "test", id=ids, **{"recall@1": np.array([1.0, 0.0])})
    scores = {"test/recall@1": 0.5}
    both = [query_scores(a_run(0, tmp_path / name, scores), *scores) for name in "ab"]
    with pytest.raises(ValueError, match="tests of 2 and of 2, of which 1 are the same"):
        stacked(both)


def test_runs_of_two_splits_are_refused():
    runs = [a_run(0, split_hash="ab"), a_run(1, split_hash="cd"), a_run(2)]
    with pytest.raises(ValueError, match="got 2: ab as in run0; cd as in run1"):
        check_one_split(runs)
    check_one_split(runs[1:])


def test_what_makes_a_comparison_less_sure_is_said():
    of = {"split_hash": "ab", "commit": "c" * 40}
    runs = [a_run(0, dirty=False, versions=VERSIONS, **of), a_run(1, dirty=False, **of)]
    assert not list(cautions(runs))
    newer = a_run(2, dirty=True, commit="d", versions={**VERSIONS, "torch": "3.0"})
    assert list(cautions([*runs, newer])) == [
        "1 run is of code that was not committed: run2",
        "the runs are of 2 commits: cccccccccccc, d",
        "the runs are of several versions of torch: 2.14.1, 3.0",
        "1 of 3 runs do not say which split of the data they had, so that it is one is not "
        "checked: run2",
    ]


def test_a_csv_of_a_spreadsheet_is_read(tmp_path):
    (file := tmp_path / "results.csv").write_bytes(
        b"\xef\xbb\xbfexperiment,seed,test/map\na,3.0,0.5\n"
    )
    (run,) = read_results_file(file).runs
    assert (run.experiment, run.seed, run.scores) == ("a", 3, {"test/map": 0.5})
