"""Files that a command is to write, looked at before it begins."""

from collections.abc import Iterable
from pathlib import Path


def check_output(option: str, output: str | Path, read: Iterable[str | Path] = ()) -> None:
    """Refuse a folder for a file, and a file that the command reads and would lose.

    Args:
        option: That names the output.
        output: The file to write.
        read: What the command reads.

    Raises:
        FileExistsError: It is one of these.
    """
    path = Path(output)
    if path.is_dir():
        raise FileExistsError(f"{option} {output} is a folder: give it the name of a file")
    for source in map(Path, read):
        if path.exists() and source.exists() and path.samefile(source):
            raise FileExistsError(
                f"{option} {output} is what is read here, and would be lost: give another name"
            )


def check_picture(option: str, output: str | Path, read: Iterable[str | Path] = ()) -> None:
    """Refuse a picture of a kind that cannot be drawn, before anything is computed.

    Args:
        option: That names the picture.
        output: Its file.
        read: As of `check_output`.

    Raises:
        ValueError: Its name does not end in one of these kinds.
        FileExistsError: As of `check_output`.
    """
    from matplotlib.backend_bases import FigureCanvasBase

    kinds = sorted(FigureCanvasBase.get_supported_filetypes())
    if Path(output).suffix.lower().removeprefix(".") not in kinds:
        raise ValueError(f"{option} must end in .{', .'.join(kinds)}; got {output}")
    check_output(option, output, read)
