"""A large batch of ResNet-50 on one GPU: in one pass, and in chunks that pass the network twice."""

from functools import partial

import torch
from torch import Tensor

from benchmarks.measure import extra_device_memory, medians, waited_for
from ranklight.lightning_modules.chunks import in_chunks
from ranklight.losses import MultiSimilarityLoss
from ranklight.miners import MultiSimilarityMiner
from ranklight.models import Encoder, TorchvisionTrunk
from ranklight.pairs import Objective

SIDE, DIM, SAMPLES_PER_CLASS, REPEATS = 224, 512, 4, 3
# Images of a batch, and of a chunk.
SIZES = [(512, None), (512, 128), (4096, 128)]


def main(device: str = "cuda") -> bool:
    torch.manual_seed(0)
    encoder = Encoder(TorchvisionTrunk("resnet50"), DIM, freeze_batch_norm=True)
    encoder = encoder.train().to(device, memory_format=torch.channels_last)
    objective = Objective(MultiSimilarityLoss(), MultiSimilarityMiner())

    def step(images: Tensor, labels: Tensor, index: Tensor, chunk_size: int | None) -> None:
        encoder.zero_grad()
        with torch.autocast(images.device.type, torch.bfloat16):
            embeddings = in_chunks(encoder, images, chunk_size)
            objective(embeddings, labels, index).backward()

    print(f"\n## Large batches, ResNet-50 at {SIDE}, bf16, channels last, frozen batch norm\n")
    print("| batch | chunk | step | images a second | memory beside weights and pictures |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    for batch, chunk in SIZES:
        images = torch.randint(256, (batch, 3, SIDE, SIDE), dtype=torch.uint8, device=device)
        index = torch.arange(batch, device=device)
        work = waited_for(partial(step, images, index // SAMPLES_PER_CLASS, index, chunk))
        seconds = medians({"step": work}, REPEATS)["step"]
        speed, memory = f"{batch / seconds:,.0f}", f"{extra_device_memory(work):,.0f} MiB"
        print(
            f"| {batch:,} | {chunk or batch} | {seconds:.3g} s | {speed} | {memory} |", flush=True
        )
    return True
