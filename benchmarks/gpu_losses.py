"""The losses of `benchmarks.losses`, ours and the peers', on a GPU."""

from benchmarks import losses
from benchmarks.measure import compare_on_gpu


def main(device: str = "cuda") -> bool:
    return compare_on_gpu("Losses, forward + backward, D = 128", losses.on(device))
