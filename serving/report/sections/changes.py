"""What the run fixed and broke of the run before."""

from ranklight.serving.report.changed_queries import ChangedQueries
from ranklight.serving.report.evidence import Evidence
from ranklight.serving.report.markup import Html, element, joined, missing, number, paragraph, table
from ranklight.serving.report.page import Section
from ranklight.serving.report.query_scores import QueryScores
from ranklight.serving.report.sections.query_row import query_row


def changes(evidence: Evidence) -> Section:
    """Counts, a sign test, and the queries that changed most, with pictures."""
    name, title = "changes", "Fixed and broken"
    found, scores, before = evidence.changes, evidence.scores, evidence.scores_before
    if found is None or scores is None or before is None:
        run = (
            evidence.before if evidence.scores_before is None and evidence.before else evidence.run
        )
        what = f"There are no scores of queries, {run.scores_file(evidence.stage)}."
        command = f"ranklight test -c {run.path}/config.yaml --ckpt_path best"
        return Section(name, title, missing(what, command))
    parts = [_counts(evidence, found, scores), *_warning(evidence)]
    header = ["query", "class", before.score + " before", scores.score + " after", "gain"]
    lists = {}
    for word, rows in (("fixed", found.fixed), ("broken", found.broken)):
        parts.append(element("h3", f"{word.capitalize()}: {len(rows):,} queries"))
        parts += [
            query_row(evidence, int(found.after[row]), _words(found, int(row), before, scores))
            for row in rows[: evidence.limits.shown]
        ]
        lists[f"{word}.csv"] = header, [_line(found, int(row), before, scores) for row in rows]
    return Section(name, title, joined(parts), lists)


def _counts(evidence: Evidence, found: ChangedQueries, scores: QueryScores) -> Html:
    assert evidence.before is not None
    same = len(found.gain) - len(found.fixed) - len(found.broken)
    rows = [["better", len(found.fixed)], ["worse", len(found.broken)], ["the same", same]]
    told = (
        f"From {evidence.before.name} to {evidence.run.name}, by {scores.score} of "
        f"{evidence.stage}. Were a changed query as likely to be better as to be worse, a count "
        f"this uneven would come with probability {number(found.p_value)} (sign test"
    )
    binary = set(scores.values[found.after].tolist()) <= {0.0, 1.0}
    told += "; for scores of 0 and 1 McNemar's)." if binary else ")."
    parts = [paragraph(told), table("Queries of both runs", ["query is", "queries"], rows)]
    if found.alone:
        parts.append(paragraph(f"{found.alone:,} queries were scored by one of the runs only."))
    return joined(parts)


def _warning(evidence: Evidence) -> list[Html]:
    assert evidence.before is not None
    records = [
        run.last_record("test") or run.last_record("fit") for run in (evidence.before, evidence.run)
    ]
    hashes = {record.get("split_hash") for record in records} - {None}
    if len(hashes) < 2:
        return []
    told = (
        "The runs have other splits of the data (split_hash "
        f"{' and '.join(sorted(map(str, hashes)))}): what one of them trained on may be a query of "
        "the other, and galleries differ."
    )
    return [element("p", told, class_="missing")]


def _words(found: ChangedQueries, row: int, before: QueryScores, after: QueryScores) -> str:
    was, now = before.values[found.before[row]], after.values[found.after[row]]
    return f"{after.score} {number(float(was))} before, {number(float(now))} now"


def _line(found: ChangedQueries, row: int, before: QueryScores, after: QueryScores) -> list[object]:
    one, two = int(found.before[row]), int(found.after[row])
    label = after.classes[two] if after.classes else ""
    values = before.values[one], after.values[two], found.gain[row]
    return [after.name(two), label, *map(float, values)]
