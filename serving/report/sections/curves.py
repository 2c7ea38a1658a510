"""How training went."""

from ranklight.serving.report.evidence import Evidence
from ranklight.serving.report.line_chart import line_chart
from ranklight.serving.report.markup import element, joined, missing, table
from ranklight.serving.report.page import Section


def curves(evidence: Evidence) -> Section:
    """A chart for each logged number, and all of them as a table."""
    runs = [run for run in (evidence.run, evidence.before) if run is not None]
    of_runs = {run.name: run.curves() for run in runs}
    own = of_runs[evidence.run.name]
    if not own:
        what = "Nothing was logged more than once in metrics.csv, so there are no curves."
        command = f"ranklight fit -c {evidence.run.path}/config.yaml"
        return Section("curves", "Training", missing(what, command))
    names = [name for name in sorted(own) if name.rpartition("/")[0] not in own]
    charts = [
        line_chart(name, {run: lines[name] for run, lines in of_runs.items() if name in lines})
        for name in names
    ]
    rows = []
    for name in sorted(own):
        values = [value for _, value in own[name]]
        rows.append([name, len(values), values[0], min(values), max(values), values[-1]])
    header = ["logged", "times", "first", "least", "greatest", "last"]
    numbers = element(
        "details",
        element("summary", "The numbers of the curves"),
        table(f"What {evidence.run.name} logged in training", header, rows),
    )
    key = []
    if evidence.before is not None:
        told = f"Solid: {evidence.run.name}. Dashed: {evidence.before.name}."
        key.append(element("p", told, class_="note"))
    return Section(
        "curves", "Training", joined([*key, element("div", *charts, class_="charts"), numbers])
    )
