"""`null` on the command line and in YAML, shown as what is built."""

from collections.abc import Sequence
from typing import Any

from jsonargparse import Namespace
from pytorch_lightning.cli import LightningArgumentParser

from ranklight.running.nulls import read_nulls


class Parser(LightningArgumentParser):
    """Lightning's, but for `null`: parts within parts take it, and `--print_config` shows it."""

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
