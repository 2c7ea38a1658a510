"""`make bench`: every table, or those named on the command line."""

import importlib
import sys

TABLES = [
    "startup",
    "reading",
    "sampler",
    "nearest_labels",
    "evaluation",
    "reidentification",
    "verification",
    "losses",
    "class_centers",
    "multi_label_losses",
    "two_head",
    "memory",
    "sharded",
]


def main() -> None:
    """Run the tables; exit with 1 if a target was missed."""
    names = sys.argv[1:] or TABLES
    met = [importlib.import_module(f"benchmarks.{name}").main() for name in names]
    sys.exit(0 if all(met) else 1)


if __name__ == "__main__":
    main()
