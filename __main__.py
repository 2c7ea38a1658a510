"""The command line: `ranklight fit|validate|test|predict|decide -c FILE`, `weights`, `compare`."""

import logging
import sys
import warnings

from jsonargparse import auto_cli

from ranklight.commands.compare import compare, compare_parser
from ranklight.commands.lightning_cli import RanklightCLI
from ranklight.commands.weights import weights


def main() -> None:
    """Run one command."""
    if sys.argv[1:2] == ["compare"]:
        compare(**vars(compare_parser().parse_args(sys.argv[2:])))
        return
    if sys.argv[1:2] == ["weights"]:
        auto_cli(weights, args=sys.argv[2:], as_positional=False, prog="ranklight weights")
        return
    _leave_out_what_no_user_can_act_on()
    RanklightCLI(
        seed_everything_default=0,
        trainer_defaults={"use_distributed_sampler": False},
        auto_configure_optimizers=False,
        load_from_checkpoint_support=False,
    )


def _leave_out_what_no_user_can_act_on() -> None:
    warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated")
    warnings.filterwarnings("ignore", message=".*does not have many workers")
    warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
    _silence("utilities.rank_zero", "litlogger")
    _silence("trainer.connectors.checkpoint_connector", "`weights_only` was not set")


def _silence(module: str, words: str) -> None:
    logger = logging.getLogger(f"pytorch_lightning.{module}")
    logger.addFilter(lambda record: words not in record.getMessage())


if __name__ == "__main__":
    main()
