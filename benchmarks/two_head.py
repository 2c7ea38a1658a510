"""What a second head adds to a training step: ResNet-50 at 224, batches of 8 × 4.

Steps are timed in CPU seconds on one thread, in turns, so that other processes change little.
"""

import statistics
import time

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.measure import Work
from ranklight.losses import TripletLoss
from ranklight.miners import Hardest
from ranklight.models import TorchvisionTrunk, TwoHeads
from ranklight.pairs import Objective

CLASSES, CLASSES_PER_BATCH, SAMPLES_PER_CLASS, SIDE = 196, 8, 4, 224
REPEATS = 5


def main() -> bool:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    images = torch.rand(CLASSES_PER_BATCH * SAMPLES_PER_CLASS, 3, SIDE, SIDE)
    labels = torch.arange(CLASSES_PER_BATCH).repeat_interleave(SAMPLES_PER_CLASS)
    alone, two_heads = _softmax(images, labels), _two_heads(images, labels)
    alone(), two_heads()
    seconds = [(_seconds(alone), _seconds(two_heads)) for _ in range(REPEATS)]
    ratio = statistics.median(both / one for one, both in seconds)
    print(f"\n## Training step, ResNet-50 at {SIDE}, {len(images)} images\n")
    print("| step | CPU seconds | of softmax alone |\n| --- | --- | --- |")
    names = ("softmax alone", "two heads"), ("1", f"{ratio:.3f} (paper: 1.01 to 1.03)")
    for name, relative, times in zip(*names, zip(*seconds, strict=True), strict=True):
        print(f"| {name} | {statistics.median(times):.3g} | {relative} |")
    return True


def _seconds(work: Work) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def _softmax(images: Tensor, labels: Tensor) -> Work:
    trunk = TorchvisionTrunk("resnet50")
    network = nn.Sequential(
        trunk, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(trunk.channels, CLASSES)
    )
    return _step(network.train(), lambda: F.cross_entropy(network(images), labels))


def _two_heads(images: Tensor, labels: Tensor) -> Work:
    network = TwoHeads(TorchvisionTrunk("resnet50"), CLASSES, (3, SIDE, SIDE)).train()
    objective = Objective(TripletLoss(average="pairs"), Hardest())

    def loss() -> Tensor:
        output = network(images)
        ranking = objective(output.embeddings, labels)
        return F.cross_entropy(output.logits, labels) + ranking

    return _step(network, loss)


def _step(network: nn.Module, loss: Work) -> Work:
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)

    def step() -> None:
        optimizer.zero_grad()
        value = loss()
        assert isinstance(value, Tensor)
        value.backward()
        optimizer.step()
        value.item()

    return step
