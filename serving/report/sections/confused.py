"""Classes that are taken for others, and labels that are decided wrongly."""

from ranklight.serving.report.confused_classes import Confusion, missed_labels
from ranklight.serving.report.evidence import Evidence
from ranklight.serving.report.markup import Html, element, joined, paragraph, table
from ranklight.serving.report.page import Section
from ranklight.serving.report.pictures import row_of_pictures
from ranklight.serving.report.query_scores import read_columns
from ranklight.serving.report.sections.absent import no_classes, no_vectors
from ranklight.serving.report.sections.embedded_image import embedded_image
from ranklight.serving.report.sections.query_row import neighbour

_EXAMPLES = 3


def confused(evidence: Evidence) -> Section:
    """Pairs of classes, or labels, with how often; then the classes that score least."""
    name, title = "classes", "Most confused classes"
    lists = {}
    if evidence.vectors is None:
        parts = [no_vectors(evidence)]
    elif evidence.vectors.labels is not None and evidence.vectors.decided is not None:
        parts = [_of_labels(evidence)]
    elif evidence.confusions is None:
        parts = [no_classes()]
    else:
        parts = [_of_classes(evidence, evidence.confusions)]
        rows = [[*pair[:4], pair.confused / pair.queries] for pair in evidence.confusions]
        lists["confused_classes.csv"] = ["class", "taken for", "count", "images", "share"], rows
    return Section(name, title, joined([*parts, _least_classes(evidence)]), lists)


def _of_classes(evidence: Evidence, pairs: list[Confusion]) -> Html:
    shown = pairs[: evidence.limits.shown]
    images = f"{len(evidence.scored_rows):,} images of {evidence.split}"
    if evidence.vectors is not None and evidence.vectors.splits is None:
        images = f"{len(evidence.scored_rows):,} images"
    wrong = sum(pair.confused for pair in pairs)
    told = (
        f"Among the {images}, {wrong:,} have an image of another class nearest to them. Each row "
        "counts the images of one class that are nearest to another."
    )
    rows = [
        [
            pair.of,
            pair.taken_for,
            pair.confused,
            pair.queries,
            f"{pair.confused / pair.queries:.0%}",
        ]
        for pair in shown
    ]
    header = ["class", "taken for", "images", "of", "share"]
    parts = [paragraph(told), table("Classes by the class of the nearest image", header, rows)]
    return joined([*parts, *(_examples(evidence, pair) for pair in shown)]) if pairs else parts[0]


def _examples(evidence: Evidence, pair: Confusion) -> Html:
    pictures = []
    for place in pair.examples[:_EXAMPLES]:
        row = int(evidence.scored_rows[place])
        other = int(evidence.scored_rows[evidence.nearest.rows[place, 0]])
        pictures.append(embedded_image(evidence, row, (pair.of, "the query")))
        pictures.append(
            neighbour(evidence, row, other, float(evidence.nearest.similarities[place, 0]))
        )
    return joined(
        [element("h3", f"{pair.of} taken for {pair.taken_for}"), row_of_pictures(pictures)]
    )


def _of_labels(evidence: Evidence) -> Html:
    vectors = evidence.vectors
    assert vectors is not None
    assert vectors.labels is not None
    assert vectors.decided is not None
    rows = evidence.scored_rows
    found = missed_labels(
        [vectors.labels[row] for row in rows], [vectors.decided[row] for row in rows]
    )
    header = ["label", "images", "missed", "given in vain"]
    shown = [[*label] for label in found[: evidence.limits.shown]]
    return table("Labels by how often they were decided wrongly", header, shown)


def _least_classes(evidence: Evidence) -> Html:
    """From the means over classes that the run kept."""
    file = evidence.run.scores_file(f"{evidence.stage}-classes")
    if evidence.scores is None or not file.exists():
        return joined([])
    columns = read_columns(file, "class", "queries")
    score = evidence.scores.score
    if score not in columns:
        return joined([])
    names = columns.get("class_name", columns["class"])
    sign = 1 if evidence.scores.larger_is_better else -1
    rows = sorted(
        (
            [str(name), queries, value]
            for name, queries, value in zip(names, columns["queries"], columns[score], strict=True)
            if value is not None and value == value
        ),
        key=lambda row: (sign * row[2], row[0]),
    )
    header = ["class", "queries", score]
    return table(f"Classes that score least by {score}", header, rows[: evidence.limits.shown])
