"""A query beside what is nearest to it."""

from ranklight.serving.report.evidence import Evidence
from ranklight.serving.report.markup import Html, element, joined, number
from ranklight.serving.report.pictures import Judged, Shown, row_of_pictures
from ranklight.serving.report.sections.embedded_image import embedded_image


def query_row(evidence: Evidence, row: int, words: str) -> Html:
    """The picture of a query of the scores, and those of its neighbours where vectors are known.

    Args:
        evidence: Of the run.
        row: Of its scores.
        words: What is said of the query.
    """
    assert evidence.scores is not None
    name = evidence.scores.name(row)
    own = evidence.scores.classes[row] if evidence.scores.classes else None
    file = evidence.locate(name) if evidence.scores.files else None
    query = Shown(name, file, tuple(part for part in ("query", own, words) if part))
    heading = element("h3", name)
    return joined([heading, row_of_pictures([query, *neighbours_of(evidence, name)])])


def neighbours_of(evidence: Evidence, name: str) -> list[Shown]:
    """What the vectors have nearest to a file among the images of the scored split."""
    if evidence.vectors is None or (place := evidence.places.get(evidence.key(name))) is None:
        return []
    found, similarities = (part[place] for part in evidence.nearest)
    return [
        neighbour(
            evidence, int(evidence.scored_rows[place]), int(evidence.scored_rows[other]), similarity
        )
        for other, similarity in zip(found.tolist(), similarities.tolist(), strict=True)
        if other >= 0
    ]


def neighbour(evidence: Evidence, query: int, other: int, similarity: float) -> Shown:
    """One image as it is found for another, both rows of the vectors."""
    vectors = evidence.vectors
    assert vectors is not None
    label = ""
    judged: Judged = ""
    if vectors.classes is not None:
        label = vectors.classes[other]
        judged = "right" if label == vectors.classes[query] else "wrong"
    elif vectors.labels is not None:
        label = ", ".join(sorted(vectors.labels[other])) or "none"
    words = tuple(part for part in (label, f"similarity {number(similarity)}") if part)
    return embedded_image(evidence, other, words, judged)
