"""`ranklight push`: a trained model, with a card, on the Hugging Face hub."""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console


def main(arguments: Sequence[str]) -> None:
    """Upload the run that the command line names."""
    _push(_parser().parse_args(arguments))


def _push(given: Namespace) -> None:
    from ranklight.serving.exported.hub import check_licence, check_repository, push

    check_repository(given.repository)
    check_licence(given.licence)
    with TemporaryDirectory() as place:
        folder = Path(place) / "model"
        _fill(given, folder)
        # The hub's client shows how far it has come.
        address = push(folder, given.repository, given.licence, given.private, given.overwrite)
    print(f"{given.run} is at {address}")


def _fill(given: Namespace, folder: Path) -> None:
    from ranklight.serving.exported.folder import Wanted, copy_export, export
    from ranklight.serving.exported.formats import format_of
    from ranklight.serving.stored import CONTRACT
    from ranklight.serving.trained_model import load

    if given.half and given.format is None:
        raise ValueError("--half is of a graph's weights: give --format, too")
    if (Path(given.run) / CONTRACT).is_file() and given.format is None:
        if given.decision is not None:
            raise ValueError(
                f"{given.run} is an exported folder and is pushed as it is: export it anew with "
                f"--decision {given.decision}, or give --format"
            )
        copy_export(Path(given.run), folder)
        return
    with Console().status("loading the run") as status:
        wanted = Wanted(format_of(given.format), given.decision, given.half)
        export(load(given.run, "cpu"), folder, wanted, begin=status.update)


def _parser() -> ArgumentParser:
    parser = ArgumentParser("ranklight push", description=__doc__)
    parser.add_argument(
        "run",
        help="A run's directory, a checkpoint, or a folder that `ranklight export` wrote, which is "
        "pushed as it is.",
    )
    parser.add_argument("repository", help="OWNER/NAME on the hub; it is made if need be.")
    parser.add_argument(
        "--licence",
        required=True,
        help="Under which others may use it, by the hub's short name: mit, apache-2.0, cc-by-4.0, "
        "cc-by-nc-4.0, other, ...",
    )
    parser.add_argument(
        "--format", choices=("onnx", "torch"), help="Push a graph, too (default: only weights)."
    )
    parser.add_argument("--half", action="store_true", help="The graph's weights in float16.")
    parser.add_argument("--decision", help="Which of a multi-label run's decisions says labels.")
    parser.add_argument("--private", action="store_true", help="Only its owner sees it.")
    parser.add_argument(
        "--overwrite", action="store_true", help="Replace a model of this name on the hub."
    )
    return parser
