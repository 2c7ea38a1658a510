"""Large batches on one device: chunks of a batch pass the network twice."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from ranklight.models import Pictures


def in_chunks(network: nn.Module, images: Pictures, chunk_size: int | None) -> Any:
    """What the network gives for a batch, of which it holds one chunk at a time.

    GradCache (Gao, Zhang, Han, Callan, RepL4NLP 2021, arXiv 2101.06983): chunk by chunk without a
    graph, then the loss over the whole batch, then, in its backward pass, chunk by chunk again with
    one. Every chunk is a checkpoint of torch's, which keeps the random numbers of both passes the
    same and meets DistributedDataParallel once; the gradient is that of the batch in one piece, to
    rounding. It costs one more forward pass. What a loss holds of a batch stays in memory: all
    embeddings, and S.

    Args:
        network: Gives a tensor, or a named tuple of some, one row an image.
        images: The batch; on several ranks this rank's share.
        chunk_size: Images that the network holds at once; None: all.
    """
    if chunk_size is None or len(images) <= chunk_size:
        return network(images)
    parts = torch.split(images, chunk_size)
    chunks = [checkpoint(network, part, use_reentrant=False) for part in parts]
    if isinstance(chunks[0], Tensor):
        return torch.cat(chunks)
    return type(chunks[0])(*(torch.cat(each) for each in zip(*chunks, strict=True)))


def check_chunks(network: nn.Module, chunk_size: int | None) -> None:
    """Refuse chunks of no image, and networks that would see that there are chunks.

    Raises:
        ValueError: chunk_size is below 1, or a batch norm takes its statistics from a chunk.
    """
    if chunk_size is None:
        return
    if chunk_size < 1:
        raise ValueError(f"chunk_size must be 1 or more images, got {chunk_size}")
    for name, module in network.named_modules():
        if isinstance(module, _BatchNorm) and module.training:
            raise ValueError(
                "chunk_size needs a network whose rows do not depend on each other, and the batch "
                f"norm {name} would take its statistics from a chunk: freeze them "
                "(models.Encoder's freeze_batch_norm), or leave chunk_size out"
            )
