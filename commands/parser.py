"""Lightning's parser, which shows what is built and refuses in one sentence."""

import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from jsonargparse import Namespace
from pytorch_lightning.cli import LightningArgumentParser

from ranklight.commands.errors import refuse
from ranklight.commands.refusals import sentence_of_parser
from ranklight.running.nulls import read_nulls


class Parser(LightningArgumentParser):
    """Parts within parts take null, and `--print_config` shows null where a part gets None."""

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, *more: Any, **options: Any
    ) -> Namespace:
        """Arguments, for a part within a part as its parent hands them on."""
        if args is not None:
            # The parent has read null, and writes what it read, None, for this parser to read.
            args = [f"{arg[:-4]}null" if arg.endswith("=None") else arg for arg in args]
        parsed: Namespace = super().parse_args(args, *more, **options)
        return parsed

    def dump(self, namespace: Namespace, *args: Any, **options: Any) -> str:
        """A configuration as text."""
        shown = namespace.clone()
        read_nulls(shown)
        return str(super().dump(shown, *args, **options))

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """End with one sentence; with `--debug true`, behind all that the parser has to say."""
        if not self.exit_on_error:
            super().error(message, ex)
        if "--debug" in " ".join(sys.argv):
            print(message, file=sys.stderr)
        command = next(iter(sys.argv[1:2]), "")
        refuse(f"{sentence_of_parser(message)} (all keys: ranklight {command} --help)", command)
