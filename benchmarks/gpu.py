"""`make bench-gpu`: every table of a GPU, or those named on the command line."""

import importlib
import sys

import torch

TABLES = ["gpu_losses", "gpu_evaluation", "gpu_training_step", "gpu_large_batch", "gpu_reading"]


def main() -> None:
    """Run the tables; exit with 1 if a target was missed, with 2 if there is no GPU."""
    if not torch.cuda.is_available():
        print("bench-gpu needs a CUDA device; none is visible", file=sys.stderr)
        sys.exit(2)
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    names = sys.argv[1:] or TABLES
    met = [importlib.import_module(f"benchmarks.{name}").main() for name in names]
    sys.exit(0 if all(met) else 1)


if __name__ == "__main__":
    main()
