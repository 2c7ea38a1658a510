"""`ranklight export`: a trained model as a folder that others can use without ranklight."""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


def main(arguments: Sequence[str]) -> None:
    """Export the run that the command line names."""
    given = _parser().parse_args(arguments)
    if given.tolerance is not None and not given.tolerance > 0:
        raise ValueError(f"--tolerance is a share above 0, such as 1e-3; got {given.tolerance}")
    _export(given)


def _export(given: Namespace) -> None:
    from ranklight.serving.exported.folder import Wanted, check_free, export
    from ranklight.serving.exported.formats import format_of
    from ranklight.serving.trained_model import load

    output = Path(given.output)
    check_free(output, given.overwrite)
    console = Console()
    with console.status("loading the run") as status:
        # On the CPU, where the graph is made and tried.
        trained = load(given.run, "cpu")
        wanted = Wanted(
            format_of(given.format), given.decision, given.half, given.tolerance, given.images
        )
        contract = export(trained, output, wanted, given.overwrite, status.update)
    if contract["decision"] is None and trained.decisions:
        print(f"decided labels are left out: --decision chooses one of {trained.decisions}")
    console.print(table_of(contract["self_test"]))
    print(f"{output}: {', '.join([*contract['files'], 'contract.json'])}")


def table_of(tested: dict[str, Any]) -> Table:
    """The largest difference of each output, beside what is allowed."""
    pictures = f"{tested['pictures']} {'drawn' if tested['drawn'] else 'of your'} pictures"
    title = f"graph and run, on {pictures}"
    columns = ("output", "difference", "allowed")
    table = Table(*columns, title=title, box=None, min_width=len(title))
    for name, difference in tested["largest_difference"].items():
        table.add_row(name, f"{difference:.1e}", f"{tested['allowed'][name]:.1e}")
    return table


def _parser() -> ArgumentParser:
    parser = ArgumentParser("ranklight export", description=__doc__)
    parser.add_argument(
        "run", help="A run's directory, a checkpoint, or a folder that this command wrote."
    )
    parser.add_argument(
        "--format",
        choices=("onnx", "torch"),
        required=True,
        help="onnx: model.onnx; torch: model.pt2, of torch.export.",
    )
    parser.add_argument("--output", required=True, help="The folder to write.")
    parser.add_argument(
        "--half",
        action="store_true",
        help="Weights in float16: half the size, a little less exact.",
    )
    parser.add_argument("--decision", help="Which of a multi-label run's decisions says labels.")
    parser.add_argument(
        "--tolerance",
        type=float,
        help="The largest difference from the run, over the largest value, with which the export "
        "is kept (default: 1e-4, with --half 1e-2).",
    )
    parser.add_argument(
        "--images",
        nargs="+",
        help="Files or folders whose first 32 images are compared (default: drawn pictures).",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="Replace a folder that this command wrote."
    )
    return parser
