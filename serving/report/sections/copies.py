"""Images of one split that are nearly images of another."""

from ranklight.serving.report.evidence import Evidence
from ranklight.serving.report.markup import Html, element, joined, missing, number, paragraph
from ranklight.serving.report.near_duplicates import SAME_PICTURE, NearDuplicate
from ranklight.serving.report.page import Section
from ranklight.serving.report.pictures import row_of_pictures
from ranklight.serving.report.sections.absent import no_vectors
from ranklight.serving.report.sections.embedded_image import embedded_image
from ranklight.serving.report.vectors import Vectors


def copies(evidence: Evidence) -> Section:
    """Pairs of images of two splits, the most alike first."""
    name, title, vectors = "copies", "Near-duplicates across splits", evidence.vectors
    if vectors is None:
        return Section(name, title, no_vectors(evidence))
    if evidence.copies is None or vectors.splits is None:
        return Section(name, title, _no_splits(evidence))
    found, cosine = evidence.copies, evidence.limits.cosine
    same = sum(pair.bits is not None and pair.bits <= SAME_PICTURE for pair in found)
    sizes = ", ".join(f"{of} {vectors.splits.count(of):,}" for of in sorted(set(vectors.splits)))
    told = (
        f"{len(found):,} pairs of images of two splits have a cosine of {number(cosine)} or more "
        f"({sizes}); {same:,} of them look the same, with perceptual hashes that differ in at most "
        f"{SAME_PICTURE} of 64 bits. Those come first: what is trained on and then searched for "
        "makes scores too good. The others are alike for the model."
    )
    header = ["first", "split", "second", "split", "cosine", "bits"]
    rows = [
        [*_named(vectors, pair.first), *_named(vectors, pair.second), *pair[2:]] for pair in found
    ]
    shown = [_one(evidence, pair) for pair in found[: evidence.limits.shown]]
    lists = {"near_duplicates.csv": (header, rows)}
    return Section(name, title, joined([paragraph(told), *shown]), lists)


def _named(vectors: Vectors, row: int) -> tuple[str, str]:
    assert vectors.splits is not None
    return vectors.files[row], vectors.splits[row]


def _one(evidence: Evidence, pair: NearDuplicate) -> Html:
    vectors = evidence.vectors
    assert vectors is not None
    assert vectors.splits is not None
    pictures = []
    for row in pair[:2]:
        label = vectors.classes[row] if vectors.classes else ""
        words = tuple(part for part in (vectors.splits[row], label) if part)
        pictures.append(embedded_image(evidence, row, words))
    bits = "pictures not read" if pair.bits is None else f"{pair.bits} of 64 bits differ"
    names = " and ".join(picture.name for picture in pictures)
    told = paragraph(f"cosine {number(pair.cosine)}, {bits}")
    return joined([element("h3", names), told, row_of_pictures(pictures)])


def _no_splits(evidence: Evidence) -> Html:
    what = (
        "Nothing says which split an image is of: the vectors have no column split, and no file "
        "that the run scored is among them. Embed a table with a column split, or the run's own "
        "images, with --images if file names are relative to a folder."
    )
    command = f"ranklight embed {evidence.run.path} TABLE.csv --output vectors.parquet"
    return missing(what, command)
