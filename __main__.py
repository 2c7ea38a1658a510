"""`ranklight` and `python -m ranklight`: a command is imported when it is called, not before."""

import sys
from importlib import import_module
from pathlib import Path

from ranklight import __version__

_COMMANDS = {
    "fit": "train a model; --test_after_fit true tests its best checkpoint",
    "validate": "score a checkpoint on the validation split",
    "test": "score a checkpoint on the test split",
    "predict": "write what a checkpoint says of each image to a file",
    "decide": "fit the label decision of a checkpoint that ranks labels",
    "doctor": "read every image and look at all that can be known before training",
    "embed": "write the vectors of images to a file, by a trained model",
    "index": "make an index of images, add to it or remove from it",
    "search": "find the images of an index that are nearest to others",
    "serve": "show an index on a page: drop a picture, see the nearest",
    "export": "write a trained model as a folder with an ONNX or torch.export graph",
    "push": "upload a trained model with a card to the Hugging Face hub",
    "pull": "download a model that was pushed",
    "compare": "put experiments side by side over their seeds",
    "study": "search settings with equal budgets, then test the chosen ones once on fresh seeds",
    "results": "write the numbers of pages anew from committed runs, or look whether they hold",
    "weights": "draw what each pair weighs under a loss",
    "report": "a run as one page: scores, what it gets wrong, and what is wrong with its data",
    "digits": "write the quickstart's digits as a folder of pictures, to try things on",
    "recipes": "list the experiments that ship, by the names that -c takes",
}
# Lightning's command line has these; the others are modules of their own.
_OF_TRAINER = {"fit", "validate", "test", "predict", "decide", "doctor"}


def main() -> None:
    """Run one command."""
    _find_modules_of_this_folder()
    command, *arguments = sys.argv[1:] or ["--help"]
    if command in ("-h", "--help"):
        print(_help())
    elif command == "--version":
        print(f"ranklight {__version__}")
    elif command in _COMMANDS:
        _run(command, arguments)
    else:
        print(f"ranklight has no command {command}; it has {', '.join(_COMMANDS)}", file=sys.stderr)
        sys.exit(2)


def _run(name: str, arguments: list[str]) -> None:
    """Run a command; what a user can mend ends it with one sentence."""
    from ranklight.commands.errors import Command, one_sentence

    command = Command(name)
    with one_sentence(command):
        if name in _OF_TRAINER:
            import_module("ranklight.commands.lightning_cli").main(arguments, command)
        else:
            import_module(f"ranklight.commands.{name}").main(arguments)


def _find_modules_of_this_folder() -> None:
    """Let a YAML name classes beside it; at the end of the path, so that they hide no package."""
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)


def _help() -> str:
    width = max(map(len, _COMMANDS))
    lines = [f"  {name:{width}}  {what}" for name, what in _COMMANDS.items()]
    return "\n".join(
        [
            "usage: ranklight COMMAND [options]    ranklight COMMAND --help    ranklight --version",
            "",
            "Train and evaluate models that rank images.",
            "",
            *lines,
        ]
    )


if __name__ == "__main__":
    main()
