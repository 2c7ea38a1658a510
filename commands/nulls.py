"""`null` on the command line and in YAML, shown as what is built."""

from typing import Any

from jsonargparse import Namespace
from pytorch_lightning.cli import LightningArgumentParser

from ranklight.running.nulls import read_nulls


class Parser(LightningArgumentParser):
    """Lightning's, whose `--print_config` shows what is built: null where a part gets None."""

    def dump(self, namespace: Namespace, *args: Any, **options: Any) -> str:
        """A configuration as text."""
        shown = namespace.clone()
        read_nulls(shown)
        return str(super().dump(shown, *args, **options))
