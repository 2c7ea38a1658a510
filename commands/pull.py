"""`ranklight pull`: a model that was pushed to the Hugging Face hub, as a folder."""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path


def main(arguments: Sequence[str]) -> None:
    """Download the model that the command line names."""
    _pull(_parser().parse_args(arguments))


def _pull(given: Namespace) -> None:
    from ranklight.serving.exported.hub import check_repository, pull

    check_repository(given.repository)
    output = Path(given.output)
    pull(given.repository, output, given.revision, given.overwrite, given.trust)
    print(f'{output}: ranklight.load("{output}"), or the name of a run to other commands')


def _parser() -> ArgumentParser:
    parser = ArgumentParser("ranklight pull", description=__doc__)
    parser.add_argument("repository", help="OWNER/NAME on the hub.")
    parser.add_argument("--output", required=True, help="The folder to write.")
    parser.add_argument("--revision", help="A branch, a tag or a commit (default: the newest).")
    parser.add_argument(
        "--overwrite", action="store_true", help="Replace a folder that a pull or an export wrote."
    )
    parser.add_argument(
        "--trust",
        action="store_true",
        help="Also take a model whose config.yaml names classes of other packages, which loading "
        "imports and calls.",
    )
    return parser
