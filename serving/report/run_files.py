"""What a run left behind, as far as a report needs it."""

from pathlib import Path
from typing import Any

from ranklight.files.run_records import read_records
from ranklight.files.text import read_text_file
from ranklight.running.metrics_file import MetricsFile

Points = list[tuple[float, float]]


class RunFiles:
    """The files of one run; nothing is read before it is asked for.

    Args:
        run: Its directory, or that of its experiment for the latest.

    Raises:
        FileNotFoundError: There is no run.
    """

    def __init__(self, run: Path) -> None:
        names = ("run.json", "metrics.csv", "config.yaml")
        if not any((run / name).exists() for name in names) and (run / "latest").is_dir():
            run = run / "latest"
        if not any((run / name).exists() for name in names):
            raise FileNotFoundError(
                f"a report needs the directory of a run, with its run.json and metrics.csv; {run} "
                "holds none of them: give runs/<experiment>/<run> or runs/<experiment>/latest"
            )
        self.path = run
        self.directory = run.resolve()

    @property
    def name(self) -> str:
        """The experiment and the run."""
        return f"{self.directory.parent.name}/{self.directory.name}"

    def records(self) -> list[dict[str, Any]]:
        """What `run.json` says of each stage, oldest first."""
        return read_records(self.directory)

    def last_record(self, stage: str) -> dict[str, Any]:
        """The newest record of a stage; empty where there is none."""
        of_stage = [record for record in self.records() if record["stage"] == stage]
        return of_stage[-1] if of_stage else {}

    def curves(self) -> dict[str, Points]:
        """The points (step, value) of what training logged more than once, but for times."""
        try:
            found = _points(MetricsFile(self.directory).rows())
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise ValueError(
                f"{self.directory / 'metrics.csv'} must hold steps and numbers, as a run logs "
                f"them: {error}"
            ) from error
        return {name: points for name, points in found.items() if len(points) > 1}

    def config(self) -> str | None:
        """The whole configuration."""
        file = self.directory / "config.yaml"
        return read_text_file(file, "configuration") if file.exists() else None

    def scores_file(self, name: str) -> Path:
        """Where the scores of an evaluation's queries lie, or would: `test`, `test-classes`."""
        return self.directory / "scores" / f"{name}.parquet"

    def stages_scored(self) -> list[str]:
        """The evaluations whose scores there are, test before val."""
        parts = ("-classes", "-groups", "-pairs", "-triplets")
        names = [file.stem for file in (self.directory / "scores").glob("*.parquet")]
        return sorted((name for name in names if not name.endswith(parts)), key=_tests_first)


def _points(rows: list[dict[str, str]]) -> dict[str, Points]:
    found: dict[str, Points] = {}
    for row in rows:
        for name, value in row.items():
            if value and name.startswith(("train/", "val/")) and name != "train/data_wait":
                found.setdefault(name, []).append((float(row["step"]), float(value)))
    return found


def _tests_first(name: str) -> tuple[bool, str]:
    return not name.startswith("test"), name
