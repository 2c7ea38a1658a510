"""The commands of a study without training: a run writes what a formula of its setting scores."""

import csv
import json
from pathlib import Path

from ranklight.studies.single_runs import Runs


class FakeCommands:
    """`fit` and `test` as `ranklight` would leave their runs.

    Args:
        score: Of a dictionary of words, in validation and in test.
        outcome: How a fit of such a dictionary ends.
    """

    def __init__(self, score, outcome=lambda words: "finished"):
        self.score, self.outcome = score, outcome
        self.calls = []

    def __call__(self, words, log):
        verb, *words = words
        given = _by_key(words)
        run = _place(given)
        self.calls.append((verb, run, given))
        run.mkdir(parents=True, exist_ok=True)
        if verb == "fit":
            (run / "config.yaml").write_text(json.dumps(given))
            outcome = self.outcome(given)
            self._write(run, {"stage": "fit", "outcome": outcome, "scores": {}})
            with (run / "metrics.csv").open("w", newline="") as file:
                csv.writer(file).writerows([["step", "val/map@r"], [1, self.score(given)]])
            return 0 if outcome == "finished" else 1
        given = json.loads((run / "config.yaml").read_text())
        scores = {"test/map@r": self.score(given)}
        self._write(run, {"stage": "test", "outcome": "finished", "scores": scores})
        return 0

    def _write(self, run, record):
        file = run / "run.json"
        stages = json.loads(file.read_text())["stages"] if file.exists() else []
        file.write_text(json.dumps({"stages": [*stages, record]}))

    def runs(self, directory, mode="max"):
        directory.mkdir(parents=True, exist_ok=True)
        return Runs(directory, ("-c", "base.yaml"), "val/map@r", mode, self)


def _by_key(words):
    given, words = {}, list(words)
    while words:
        key, _, value = words.pop(0).partition("=")
        given[key.lstrip("-")] = value or words.pop(0)
    return given


def _place(given):
    if "runs" in given:
        return Path(given["runs"], given["experiment"], given["run"])
    return Path(given["c"]).parent
