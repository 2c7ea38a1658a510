"""Where the numbers came from."""

from datetime import datetime
from typing import Any

from ranklight.serving.report.evidence import Evidence
from ranklight.serving.report.markup import Html, code, element, joined, missing, table
from ranklight.serving.report.page import Section
from ranklight.serving.report.run_files import RunFiles


def provenance(evidence: Evidence) -> Section:
    """The stages of each run, the vectors, and the configuration."""
    runs = [run for run in (evidence.before, evidence.run) if run is not None]
    parts = [part for run in runs for part in _of_run(run)]
    if evidence.vectors is not None:
        parts.append(_of_vectors(evidence))
    return Section("provenance", "Provenance", joined(parts))


def _of_run(run: RunFiles) -> list[Html]:
    records = run.records()
    if not records:
        command = f"ranklight fit -c {run.path}/config.yaml"
        return [missing(f"{run.name} has no run.json.", command)]
    header = ["stage", "outcome", "started", "took", "commit", "device", "processes", "seed"]
    header += ["split", "weights", "checkpoint", "command"]
    stages = table(f"{run.name}: stages", header, map(_stage, records))
    versions = records[-1].get("versions") or {}
    packages = table(f"{run.name}: versions", ["package", "version"], versions.items())
    parts = [stages, packages]
    if (config := run.config()) is not None:
        words = element("summary", f"{run.name}: config.yaml")
        parts.append(element("details", words, element("pre", config, tabindex=0)))
    return parts


def _stage(record: dict[str, Any]) -> list[object]:
    git = record.get("git") or {}
    commit = git.get("commit", "")[:12] + (" and changes" if git.get("dirty") else "")
    keys = ("device", "world_size", "seed", "split_hash", "weights_hash", "checkpoint")
    plain = [None if record.get(key) is None else str(record[key]) for key in keys]
    started = record.get("started")
    return [
        record.get("stage"),
        record.get("outcome"),
        started,
        _took(started, record.get("ended")),
        commit,
        *plain,
        code(record.get("command", "")),
    ]


def _took(started: str | None, ended: str | None) -> str:
    if started is None or ended is None:
        return ""
    took = datetime.fromisoformat(ended) - datetime.fromisoformat(started)
    return str(took)


def _of_vectors(evidence: Evidence) -> Html:
    vectors = evidence.vectors
    assert vectors is not None
    sources = vectors.sources
    rows = [[file, of.run, of.encoder, str(of.normalised)] for file, of in sources.items()]
    parts = [table("Files of vectors", ["file", "run", "encoder", "normalised"], rows)]
    if vectors.broken:
        broken = sorted(vectors.broken.items())
        parts.append(table("Images that could not be read", ["file", "reason"], broken))
    return joined(parts)
