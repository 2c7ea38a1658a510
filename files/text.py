"""Text files that somebody names, or a sentence that says why one cannot be read."""

from pathlib import Path


def read_text_file(path: Path, what: str) -> str:
    """A text file in UTF-8, without the mark that some editors put before it.

    Args:
        path: Of the file.
        what: What it is, for the sentence: "page", "space of a study".

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no text in UTF-8.
    """
    if path.is_dir():
        raise FileNotFoundError(f"{path} is a folder, where the file of a {what} is needed")
    if not path.is_file():
        raise FileNotFoundError(f"there is no {what} {path} (from {Path.cwd()})")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} must be text in UTF-8, which it is not: {error}") from error
