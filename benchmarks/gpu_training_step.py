"""A training step of ResNet-50 at 224, and how much of it sampling, mining and loss take.

bfloat16 autocast, channels last, batches of 32 x 4. Sampling is the next batch of a million images;
mining and loss are the objective from embeddings to their gradient, waited for by itself, which is
mostly the start of kernels. In a step nothing is waited for, so what they add is seen only beside a
step without them, which ends in the sum of all embeddings.
"""

from collections.abc import Callable, Iterator
from itertools import chain, repeat

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.measure import Work, medians, waited_for
from ranklight.datamodules.samplers import ClassBalanced
from ranklight.losses import ContrastiveLoss, MultiSimilarityLoss, TripletLoss
from ranklight.miners import MultiSimilarityMiner, SemiHard
from ranklight.models import Encoder, TorchvisionTrunk
from ranklight.pairs import CrossBatchMemory, Objective

CLASSES_PER_BATCH, SAMPLES_PER_CLASS, SIDE, DIM = 32, 4, 224, 512
BATCH = CLASSES_PER_BATCH * SAMPLES_PER_CLASS
IMAGES, CLASSES, MEMORY, FILLED_BY = 1_000_000, 10_000, 65_536, 4096
AT_MOST, REPEATS = 0.05, 21


def main(device: str = "cuda") -> bool:
    torch.backends.cudnn.benchmark = True
    step = _Step(device)
    print(f"\n## Training step, ResNet-50 at {SIDE}, bf16, channels last, {BATCH} images\n")
    parts = "sampling | mining and loss | bare step | step | images a second"
    print(f"| objective | {parts} | added | met |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    met = [_row(step, name, objective, device) for name, objective in _objectives().items()]
    return all(met)


def images_a_second(device: str = "cuda") -> float:
    """How many images a second a whole step trains on."""
    objective, step = _objectives()["multi-similarity, mined"], _Step(device)
    seconds = medians({"step": waited_for(lambda: step.whole(objective))}, REPEATS)["step"]
    return BATCH / seconds


def _objectives() -> dict[str, Objective]:
    return {
        "multi-similarity, mined": Objective(MultiSimilarityLoss(), MultiSimilarityMiner()),
        "all triplets": Objective(TripletLoss()),
        "semi-hard triplets": Objective(TripletLoss(average="pairs"), SemiHard()),
        f"contrastive, memory of {MEMORY:,}": Objective(
            ContrastiveLoss(), references=CrossBatchMemory(MEMORY)
        ),
    }


def _row(step: "_Step", name: str, objective: Objective, device: str) -> bool:
    _fill(objective, device)
    works: dict[str, Work] = {
        "sampling": step.sample,
        "objective": waited_for(lambda: step.objective_alone(objective)),
        "bare step": waited_for(lambda: step.whole(_sum_of_all)),
        "step": waited_for(lambda: step.whole(objective)),
    }
    seconds = medians(works, REPEATS)
    added = seconds["step"] / seconds["bare step"] - 1
    times = " | ".join(f"{seconds[part] * 1e3:.3g} ms" for part in works)
    speed = f"{BATCH / seconds['step']:,.0f}"
    met = "yes" if added <= AT_MOST else "**no**"
    print(f"| {name} | {times} | {speed} | {added:.1%} (≤ {AT_MOST:.0%}) | {met} |", flush=True)
    return added <= AT_MOST


def _sum_of_all(embeddings: Tensor, labels: Tensor, index: Tensor) -> Tensor:
    """The loss of a step that learns nothing."""
    return embeddings.sum()


def _fill(objective: Objective, device: str) -> None:
    """Let a memory be as full as it gets."""
    if not isinstance(objective.references, CrossBatchMemory):
        return
    for start in range(0, MEMORY, FILLED_BY):
        index = torch.arange(start, start + FILLED_BY, device=device)
        embeddings = F.normalize(torch.randn(FILLED_BY, DIM, device=device))
        objective.references(embeddings, index % CLASSES, index)


class _Step:
    """One network, and a step of it that ends in any objective."""

    def __init__(self, device: str) -> None:
        torch.manual_seed(0)
        encoder = Encoder(TorchvisionTrunk("resnet50"), DIM).train()
        self.encoder = encoder.to(device, memory_format=torch.channels_last)
        images = torch.randn(BATCH, 3, SIDE, SIDE, device=device)
        self.images = images.to(memory_format=torch.channels_last)
        self.labels = torch.arange(BATCH, device=device) // SAMPLES_PER_CLASS
        self.index = torch.arange(BATCH, device=device)
        self.embeddings = F.normalize(torch.randn(BATCH, DIM, device=device))
        self.optimizer = torch.optim.SGD(self.encoder.parameters(), lr=0.01, momentum=0.9)
        self.batches = _batches()

    def sample(self) -> list[int]:
        """Which images come next."""
        return next(self.batches)

    def objective_alone(self, objective: Objective) -> None:
        """From embeddings to their gradient."""
        embeddings = self.embeddings.clone().requires_grad_()
        objective(embeddings, self.labels, self.index).backward()

    def whole(self, objective: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
        """From images to new weights."""
        self.sample()
        self.optimizer.zero_grad()
        with torch.autocast(self.images.device.type, torch.bfloat16):
            embeddings: Tensor = self.encoder(self.images)
            loss = objective(embeddings, self.labels, self.index)
        loss.backward()
        self.optimizer.step()


def _batches() -> Iterator[list[int]]:
    labels = torch.arange(IMAGES) % CLASSES
    sampler = ClassBalanced(labels, CLASSES_PER_BATCH, SAMPLES_PER_CLASS)
    return chain.from_iterable(repeat(sampler))
