"""What a study did, and when: settings were chosen, and then the test part was opened, once."""

import json
import os
import socket
from datetime import datetime
from pathlib import Path
from typing import Any


class Ledger:
    """A file of JSON lines that is only ever added to.

    Events are `started` with the terms of the study, `chosen` with the setting of each arm,
    `test opened`, `test resumed` after a kill, and `test closed` with the scores.

    Args:
        path: Of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, event: str, **facts: Any) -> None:
        """Add an event; it is on disk when this returns."""
        who = f"process {os.getpid()} on {socket.gethostname()}"
        at = datetime.now().astimezone().isoformat(timespec="seconds")
        line = json.dumps({"event": event, "at": at, "by": who, **facts}) + "\n"
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())

    def events(self, event: str) -> list[dict[str, Any]]:
        """All of one kind, oldest first.

        Raises:
            ValueError: A line is not one of ours; names it.
        """
        if not self.path.exists():
            return []
        lines = self.path.read_text(encoding="utf-8").splitlines()
        try:
            known = [json.loads(line) for line in lines]
            return [entry for entry in known if entry["event"] == event]
        except (json.JSONDecodeError, TypeError, KeyError) as error:
            raise ValueError(f"{self.path} must have an event in each line; {error!r}") from error
