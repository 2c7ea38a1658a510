"""An image of the vectors, to be shown."""

from ranklight.serving.report.evidence import Evidence
from ranklight.serving.report.pictures import Judged, Shown


def embedded_image(
    evidence: Evidence, row: int, words: tuple[str, ...], judged: Judged = ""
) -> Shown:
    """The picture of a row, or the box in it that the row is of."""
    assert evidence.vectors is not None
    name = evidence.vectors.files[row]
    return Shown(name, evidence.locate(name), words, judged, evidence.vectors.boxes[row])
