"""Files that are whole, or as they were, without importing what trains."""

import os
from pathlib import Path


def write_whole(path: Path, content: str | bytes) -> None:
    """Write beside the file, then take its place; of several that write, one wins whole.

    Args:
        path: Of the file.
        content: All of it.

    Raises:
        OSError: It cannot be written; the file is as it was.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content if isinstance(content, bytes) else content.encode())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
