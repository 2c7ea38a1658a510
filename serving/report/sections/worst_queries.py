"""The queries that the run gets most wrong."""

from ranklight.serving.report.evidence import Evidence
from ranklight.serving.report.markup import joined, number, paragraph
from ranklight.serving.report.page import Section
from ranklight.serving.report.sections.absent import no_scores, no_vectors
from ranklight.serving.report.sections.query_row import query_row

_COLUMNS = 3


def worst_queries(evidence: Evidence) -> Section:
    """Queries by their score, the worst first, each with what the vectors have nearest to it."""
    name, title, scores = "worst", "Worst queries", evidence.scores
    if scores is None:
        return Section(name, title, no_scores(evidence))
    parts = [
        paragraph(
            f"By {scores.score} of {evidence.stage}; where that is equal, by the other scores in "
            "turn. The score of each query is under its picture, and beside it are the images of "
            f"{evidence.split} that are nearest to it."
        )
    ]
    if evidence.vectors is None:
        parts.append(no_vectors(evidence))
    order = scores.worst_first().tolist()
    told = [scores.score, *(column for column in scores.columns if column != scores.score)]
    for row in order[: evidence.limits.shown]:
        values = [
            f"{column} {number(float(scores.columns[column][row]))}" for column in told[:_COLUMNS]
        ]
        parts.append(query_row(evidence, row, ", ".join(values)))
    rows = [
        [scores.name(row), scores.classes[row] if scores.classes else ""]
        + [float(column[row]) for column in scores.columns.values()]
        for row in order
    ]
    lists = {"queries.csv": (["query", "class", *scores.columns], rows)}
    return Section(name, title, joined(parts), lists)
