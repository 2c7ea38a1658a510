"""Runs as Weights & Biases has them: in an offline directory, or at its server."""

import json
import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ranklight.studies.run_scores import Found, LeftOutError, RunScores

_HEADER = b":W&B\xe1\xbe\x00"
_BLOCK = 32768
_WHOLE, _FIRST, _LAST = 1, 2, 4


def read_wandb(source: str, metrics: Sequence[str] | None = None) -> Found:
    """The runs of a W&B project, or of the offline runs below a directory.

    The group of a W&B run is its experiment, as `ranklight` sets it, its summary the scores. A run
    that was fitted and tested apart is one by its id.

    Args:
        source: `wandb:ENTITY/PROJECT`, or a directory with `offline-run-*` below.
        metrics: Which a run must have to count; None: all of its test.

    Raises:
        FileNotFoundError: There is no W&B run.
        ValueError: A file is none that W&B wrote, or the project cannot be read.
    """
    project = source.removeprefix("wandb:")
    found = _from_server(project) if source.startswith("wandb:") else _from_files(Path(source))
    runs, left_out = [], {}
    for run in found:
        try:
            runs.append(_checked(run, metrics))
        except LeftOutError as error:
            left_out[run.name] = str(error)
    return Found(runs, left_out)


def _from_files(directory: Path) -> list[RunScores]:
    files = sorted(directory.rglob("run-*.wandb"))
    if not files:
        raise FileNotFoundError(
            f"no W&B run below {directory}: no run-<id>.wandb in an offline-run-<time>"
        )
    runs: dict[str, dict[str, Any]] = {}
    for file in files:
        run = runs.setdefault(file.stem, {"name": str(file), "config": {}, "summary": {}})
        for record in _records(file):
            _add(run, record)
    return [_run(**run) for run in runs.values()]


def _from_server(project: str) -> list[RunScores]:
    # Here, since importing it takes a second.
    import wandb

    try:
        runs = list(wandb.Api().runs(project))
    except (ValueError, wandb.errors.Error) as error:
        raise ValueError(f"the W&B project {project} cannot be read ({error})") from error
    if not runs:
        raise FileNotFoundError(f"the W&B project {project} has no runs")
    return [
        _run(
            name="/".join(run.path),
            config=dict(run.config),
            summary=dict(run.summary),
            group=run.group,
            commit=run.commit,
        )
        for run in runs
    ]


def _run(
    name: str,
    config: Mapping[str, Any],
    summary: Mapping[str, Any],
    group: str | None = None,
    commit: str | None = None,
) -> RunScores:
    seed = config.get("seed_everything", config.get("seed"))
    scores = {
        metric: float(score)
        for metric, score in summary.items()
        if not metric.startswith("_") and _is_number(score)
    }
    return RunScores(
        name=name,
        experiment=group or str(config.get("experiment") or name),
        seed=seed if isinstance(seed, int) and not isinstance(seed, bool) else None,
        scores=scores,
        config=config,
        commit=commit,
        split_hash=config.get("split_hash"),
    )


def _is_number(score: Any) -> bool:
    is_real = isinstance(score, int | float) and not isinstance(score, bool)
    return is_real and math.isfinite(score)


def _checked(run: RunScores, metrics: Sequence[str] | None) -> RunScores:
    scores = {name: score for name, score in run.scores.items() if name.startswith("test/")}
    if metrics is None and not scores:
        raise LeftOutError("it was not tested")
    for metric in metrics or ():
        if metric not in run.scores:
            there = ", ".join(sorted(name for name in run.scores if "/" in name)) or "no scores"
            raise LeftOutError(f"it has no {metric}; it has {there}")
    return run._replace(scores=scores) if metrics is None else run


def _add(run: dict[str, Any], record: Any) -> None:
    """What a record of the log says of the run: its configuration, group, commit and summary."""
    kind = record.WhichOneof("record_type")
    if kind == "run":
        run["group"] = record.run.run_group or run.get("group")
        run["commit"] = record.run.git.commit or run.get("commit")
        run["config"] |= _values(record.run.config.update)
    elif kind == "config":
        run["config"] |= _values(record.config.update)
    elif kind == "summary":
        run["summary"] |= _values(record.summary.update)


def _values(items: Any) -> dict[str, Any]:
    return {
        "/".join(item.nested_key) or item.key: json.loads(item.value_json)
        for item in items
        if item.value_json
    }


def _records(file: Path) -> Iterator[Any]:
    """The records of a `.wandb` file: protocol buffers in LevelDB's log format after 7 bytes.

    A run that was killed ends within a record, which then is none.
    """
    from wandb.proto import wandb_internal_pb2

    data = file.read_bytes()
    if data[: len(_HEADER)] != _HEADER:
        raise ValueError(f"{file} must be a log that W&B wrote; it begins with {data[:7]!r}")
    for whole in _log_entries(data):
        record = wandb_internal_pb2.Record()  # type: ignore[attr-defined, unused-ignore]
        record.ParseFromString(whole)
        yield record


def _log_entries(data: bytes) -> Iterator[bytes]:
    """LevelDB's log: blocks of 32 KiB; a piece is checksum, length, kind, bytes, within a block."""
    position, pieces = len(_HEADER), b""
    while position + 7 <= len(data):
        left = _BLOCK - position % _BLOCK
        if left < 7:
            position += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, position)
        piece = data[position + 7 : position + 7 + length]
        if len(piece) < length:
            return
        pieces = piece if kind in (_WHOLE, _FIRST) else pieces + piece
        if kind in (_WHOLE, _LAST):
            yield pieces
        position += 7 + length
