from ranklight.running.metrics_file import MetricsFile


def test_rows_are_appended_and_new_metrics_get_a_column(tmp_path):
    file = MetricsFile(tmp_path)
    file.log_metrics({"train/loss": 1.5}, step=0)
    file.log_metrics({"train/loss": 0.5}, step=1)
    file.log_metrics({"val/recall@1": 0.25}, step=1)
    assert file.rows() == [
        {"step": "0", "train/loss": "1.5", "val/recall@1": ""},
        {"step": "1", "train/loss": "0.5", "val/recall@1": ""},
        {"step": "1", "train/loss": "", "val/recall@1": "0.25"},
    ]


def test_a_run_that_goes_on_appends(tmp_path):
    MetricsFile(tmp_path).log_metrics({"train/loss": 1.0}, step=0)
    MetricsFile(tmp_path).log_metrics({"train/loss": 2.0}, step=1)
    assert [row["train/loss"] for row in MetricsFile(tmp_path).rows()] == ["1.0", "2.0"]


def test_truncated_to_the_first_rows(tmp_path):
    file = MetricsFile(tmp_path)
    for step in range(5):
        file.log_metrics({"train/loss": float(step)}, step)
    file.truncate(3)
    assert [row["step"] for row in file.rows()] == ["0", "1", "2"]
