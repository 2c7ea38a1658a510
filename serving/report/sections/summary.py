"""What the run scored."""

from typing import Any

from ranklight.metric_directions import direction_of
from ranklight.serving.report.evidence import Evidence
from ranklight.serving.report.markup import Html, joined, missing, paragraph, table
from ranklight.serving.report.page import Section

_STAGES = {"test": "test", "validate": "validation", "fit": "fit"}
_BETTER = {"max": "larger", "min": "smaller", None: ""}


def summary(evidence: Evidence) -> Section:
    """The scores of the newest test, else validation or fit, beside those of the run before."""
    stage = next((stage for stage in _STAGES if _scores(evidence, stage)), None)
    parts: list[Html] = []
    if stage is None:
        command = f"ranklight test -c {evidence.run.path}/config.yaml --ckpt_path best"
        parts.append(missing("The run has no scores in its run.json.", command))
    else:
        parts.append(_table(evidence, stage))
    if evidence.scores is not None:
        counted = int(evidence.scores.counted.sum())
        rest = len(evidence.scores) - counted
        more = f"; {rest:,} more have nothing relevant to find and do not count" if rest else ""
        parts.append(paragraph(f"{counted:,} queries of {evidence.stage} are scored{more}."))
    return Section("summary", "Summary", joined(parts))


def _scores(evidence: Evidence, stage: str) -> dict[str, Any]:
    scores: dict[str, Any] = evidence.run.last_record(stage).get("scores") or {}
    return {name: value for name, value in scores.items() if value is not None}


def _table(evidence: Evidence, stage: str) -> Html:
    scores, caption = _scores(evidence, stage), f"Scores of the newest {_STAGES[stage]}"
    better = {name: _BETTER[direction_of(name)] for name in scores}
    if evidence.before is None:
        rows = [[name, value, better[name]] for name, value in scores.items()]
        return table(caption, ["score", evidence.run.name, "better"], rows)
    others = evidence.before.last_record(stage).get("scores") or {}
    both = [
        [name, others.get(name), value, _difference(others.get(name), value), better[name]]
        for name, value in scores.items()
    ]
    header = ["score", evidence.before.name, evidence.run.name, "difference", "better"]
    return table(caption, header, both)


def _difference(before: float | None, after: float) -> str:
    return "" if before is None else f"{after - before:+.4g}"
