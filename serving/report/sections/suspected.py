"""Labels that may be wrong."""

from ranklight.serving.report.evidence import Evidence
from ranklight.serving.report.markup import Html, element, joined, paragraph
from ranklight.serving.report.page import Section
from ranklight.serving.report.pictures import row_of_pictures
from ranklight.serving.report.sections.absent import no_classes, no_vectors
from ranklight.serving.report.sections.embedded_image import embedded_image
from ranklight.serving.report.suspected_labels import Suspect, not_judged


def suspected(evidence: Evidence) -> Section:
    """Images whose neighbours agree on another class, with what they agree on."""
    name, title = "labels", "Suspected label errors"
    if evidence.vectors is None:
        return Section(name, title, no_vectors(evidence))
    if evidence.suspects is None or evidence.vectors.classes is None:
        return Section(name, title, no_classes())
    found, files = evidence.suspects, evidence.vectors.files
    limits = evidence.limits
    told = (
        f"{len(found):,} of {len(files):,} images: of their {limits.neighbours} nearest (fewer in "
        f"small classes) at least {limits.agreement:.0%} are of one other class (edited nearest "
        "neighbours, Wilson 1972; Zhu, Dong, Liu, ICML 2022). This is a reason to look, no proof: "
        "an image may be hard, or lie between classes, and a network that learnt a wrong label by "
        "heart agrees with it."
    )
    small = not_judged(evidence.vectors.classes)
    if small:
        told += f" {small:,} images are of classes of one or two and were not judged."
    rows = [[files[of.row], *of[1:]] for of in found]
    header = ["file", "label", "proposed", "agreement", "neighbours", "similarity"]
    shown = [_one(evidence, suspect) for suspect in found[: limits.shown]]
    return Section(
        name,
        title,
        joined([paragraph(told), *shown]),
        {"suspected_labels.csv": (header, rows)},
    )


def _one(evidence: Evidence, suspect: Suspect) -> Html:
    assert evidence.vectors is not None
    name = evidence.vectors.files[suspect.row]
    told = (
        f"labelled {suspect.given}",
        f"{suspect.agreement:.0%} of {suspect.asked} neighbours: {suspect.proposed}",
    )
    heading = element("h3", f"{name}: {suspect.given}, or {suspect.proposed}?")
    return joined([heading, row_of_pictures([embedded_image(evidence, suspect.row, told)])])
