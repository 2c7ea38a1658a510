"""What a study is: fixed by its first command, and the same for all that go on with it."""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from ranklight.files.writing import write_whole
from ranklight.studies.ledger import Ledger
from ranklight.studies.locks import claimed


def agree(directory: Path, terms: Mapping[str, Any], ledger: Ledger) -> None:
    """Write the terms of a new study, or refuse others than it was started with.

    Args:
        directory: Of the study.
        terms: By the names that a sentence may use.
        ledger: Where the start is written.

    Raises:
        ValueError: Something differs; names it.
    """
    file = directory / "study.json"
    now = json.loads(json.dumps(terms))
    with claimed(directory / ".terms", wait=True):
        if not file.exists():
            ledger.write("started", terms=now)
            write_whole(file, json.dumps(now, indent=1) + "\n")
            return
    then = json.loads(file.read_text(encoding="utf-8"))
    for name in [*then, *(name for name in now if name not in then)]:
        if then.get(name) != now.get(name):
            raise ValueError(
                f"the study {directory} was started with {name} {json.dumps(then.get(name))}, this "
                f"command has {json.dumps(now.get(name))}: give the same, or another --study"
            )


def content_hash(*files: Path) -> str:
    """A short name of what files hold, in their order."""
    digest = sha256()
    for file in files:
        digest.update(sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:12]
