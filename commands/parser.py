"""Lightning's parser, which shows what is built and refuses in one sentence."""

import sys
from typing import Any, NoReturn

from jsonargparse import Namespace
from pytorch_lightning.cli import LightningArgumentParser

from ranklight.commands.errors import refuse
from ranklight.commands.refusals import sentence_of_parser
from ranklight.running.nulls import read_nulls


class Parser(LightningArgumentParser):
    """Its `--print_config` shows null where a part gets None."""

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
