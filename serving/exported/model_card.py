"""The card of a pushed model: what it is for, its data, how good it is, how to use it."""

from typing import Any

from ranklight.files.markdown import table_lines
from ranklight.serving.exported.contract import Contract
from ranklight.serving.exported.formats import GRAPHS

_INTERVALS = (("/identity_low", "/identity_high"), ("/low", "/high"))
_BOUNDS = ("/identity_low", "/identity_high", "/low", "/high", "/standard_error")


def card_of(contract: Contract, repository: str, licence: str) -> str:
    """The card, in the Markdown of the Hugging Face hub.

    Args:
        contract: Of the exported folder.
        repository: OWNER/NAME on the hub.
        licence: By the hub's name of it, such as mit.
    """
    name = repository.rpartition("/")[2]
    parts = [
        _front_matter(contract, licence),
        f"# {name}",
        _purpose(contract),
        "## Use",
        _use(contract, repository),
        "## Data and training",
        _training(contract["provenance"]),
        "## Scores",
        _scores(contract["provenance"]),
    ]
    return "\n\n".join(parts) + "\n"


def _front_matter(contract: Contract, licence: str) -> str:
    tags = ["ranklight", "image-retrieval", "metric-learning"]
    if "scores" in contract["outputs"]:
        tags.append("image-classification")
    lines = [f"license: {licence}", "library_name: ranklight"]
    lines += ["pipeline_tag: image-feature-extraction", "tags:", *(f"- {tag}" for tag in tags)]
    return "\n".join(["---", *lines, "---"])


def _purpose(contract: Contract) -> str:
    kind = "unit vector" if contract["normalised"] else "vector"
    sentences = [
        f"Maps an image to a {kind} of {contract['embedding_size']} numbers. Images that the "
        "labels of its training call alike are near each other: for search, near-duplicates and "
        "groups."
    ]
    if (scores := contract["outputs"].get("scores")) is not None:
        sentences.append(f"It also scores {scores['shape'][1]} classes.")
    if (threshold := contract["similarity_threshold"]) is not None:
        sentences.append(
            f"Two images are taken for the same class from a similarity of {threshold:.3f} on, a "
            "threshold that was fitted on validation."
        )
    sentences.append("How well it does on images unlike those below is not known.")
    return " ".join(sentences)


def _use(contract: Contract, repository: str) -> str:
    lines = [
        f"# in a shell: ranklight pull {repository} --output model",
        "import ranklight",
        'model = ranklight.load("model")',
        'a, b = model.embed(["one.jpg", "other.jpg"])',
        "similarity = 1 - ((a - b) ** 2).sum() / 2",
    ]
    if contract["decision"] is not None:
        lines.append(f'labels = model.labels("one.jpg", "{contract["decision"]}")')
    elif "scores" in contract["outputs"]:
        lines.append('scores = model.scores("one.jpg")')
    graphs = [
        f"`{file}` works without ranklight; `contract.json` says what goes in and comes out."
        for file in contract["files"]
        if file in GRAPHS
    ]
    return "\n\n".join(["\n".join(["```python", *lines, "```"]), *graphs])


def _training(provenance: dict[str, Any]) -> str:
    fit = _last(provenance, "fit")
    rows = {
        "data": provenance["data"],
        "run": provenance["run"],
        "steps": provenance["step"],
        "split": fit.get("split_hash"),
        "seed": fit.get("seed"),
        "split seed": fit.get("split_seed"),
        "code": _commit(fit.get("git")),
        "versions": ", ".join(
            f"{name} {number}" for name, number in fit.get("versions", {}).items()
        ),
        "device": fit.get("device"),
    }
    known = [[name, f"`{value}`"] for name, value in rows.items() if value not in (None, "")]
    return "\n".join(table_lines(["what", "value"], known))


def _scores(provenance: dict[str, Any]) -> str:
    test = _last(provenance, "test", provenance["checkpoint"])
    scores: dict[str, float | None] = test.get("scores", {})
    if not scores:
        return "No test of this checkpoint is recorded."
    rows = [
        [name, f"{value:.4g}", _interval(name, scores)]
        for name, value in scores.items()
        if value is not None and not name.endswith(_BOUNDS)
    ]
    return "\n".join(table_lines(["score", "value", "95 % interval"], rows))


def _interval(name: str, scores: dict[str, float | None]) -> str:
    for low, high in _INTERVALS:
        bounds = scores.get(f"{name}{low}"), scores.get(f"{name}{high}")
        if None not in bounds:
            return f"{bounds[0]:.4g} to {bounds[1]:.4g}"
    if (error := scores.get(f"{name}/standard_error")) is not None:
        return f"± {1.96 * error:.2g}"
    return ""


def _last(provenance: dict[str, Any], stage: str, checkpoint: str | None = None) -> dict[str, Any]:
    """The last record of a stage that ended well, of a checkpoint if one is named."""
    records = [
        record
        for record in provenance["stages"]
        if record["stage"] == stage
        and record["outcome"] == "finished"
        and checkpoint in (None, record["checkpoint"])
    ]
    return records[-1] if records else {}


def _commit(git: dict[str, Any] | None) -> str | None:
    if git is None:
        return None
    return f"{git['commit']}{' and changes that were not committed' if git['dirty'] else ''}"
