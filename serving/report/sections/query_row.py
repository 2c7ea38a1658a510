"""A query beside what is nearest to it."""

from ranklight.datamodules.reading.pictures import Box
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
    scores = evidence.scores
    name, box = scores.name(row), scores.boxes[row]
    own = scores.classes[row] if scores.classes else None
    told = tuple(part for part in ("query", own, words) if part)
    query, near = Shown(name, None, told), list[Shown]()
    if scores.files is not None:
        query = query._replace(file=evidence.locate(scores.files[row]), box=box)
        near = neighbours_of(evidence, scores.files[row], box)
    return joined([element("h3", name), row_of_pictures([query, *near])])


def neighbours_of(evidence: Evidence, file: str, box: Box | None) -> list[Shown]:
    """What the vectors have nearest to an image among those of the scored split."""
    if evidence.vectors is None:
        return []
    if (place := evidence.places.get(evidence.image(file, box))) is None:
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
