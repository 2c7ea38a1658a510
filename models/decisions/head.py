"""The small network of a learnt label decision, and how it learns."""

import copy
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ranklight.kernels.checks import check_counts
from ranklight.kernels.eager import without_autocast

Inputs = Literal["features", "scores", "both"]
"""What a head looks at: the encoder's features, the scores, or one beside the other."""


class DecisionHead(nn.Module):
    """Linear layers with ReLU between them, on standardised inputs, trained on cached features.

    Adam with a learning rate that falls to 0 as a cosine, for a number of steps that does not
    depend on the number of images: training takes seconds on a CPU, which is where it happens. The
    released code of LSEP (Li, Song, Luo, CVPR 2017, arXiv 1704.03135) uses SGD with learning rate
    1e-3, momentum 0.9 and does not standardise. Weights are 0 until `learn` draws them.

    Args:
        num_inputs: Size of an input.
        hidden: Sizes of the hidden layers.
        num_outputs: Size of the output.
        steps: Batches to learn from.
        batch_size: Images in a batch, drawn with return.
        learning_rate: Of Adam, at the start.
        weight_decay: L2, added to the gradient.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        num_inputs: int,
        hidden: Sequence[int],
        num_outputs: int,
        steps: int = 1000,
        batch_size: int = 256,
        learning_rate: float = 1e-2,
        weight_decay: float = 5e-5,
    ) -> None:
        super().__init__()
        check_counts(num_inputs=num_inputs, num_outputs=num_outputs)
        check_learning(hidden, steps)
        self.steps = steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        sizes = [num_inputs, *hidden, num_outputs]
        linear = [_zero_linear(*size) for size in pairwise(sizes)]
        layers = [layer for each in linear for layer in (each, nn.ReLU())]
        self.layers = nn.Sequential(*layers[:-1]).requires_grad_(False)
        self.register_buffer("mean", torch.zeros(num_inputs))
        self.register_buffer("deviation", torch.ones(num_inputs))

    def forward(self, inputs: Float[Tensor, "n d"]) -> Float[Tensor, "n o"]:
        """The output for each input, in float32 also under autocast."""
        with without_autocast(inputs):
            outputs: Tensor = self.layers((inputs - self.mean) / self.deviation)
        return outputs

    @torch.inference_mode(False)
    @torch.enable_grad()
    def learn(
        self,
        inputs: Float[Tensor, "n d"],
        cost: Callable[[Float[Tensor, "b o"], Int[Tensor, " b"]], Float[Tensor, ""]],
        seed: int,
    ) -> None:
        """Start anew and minimise a cost of (outputs, rows that they are of).

        Raises:
            ValueError: Inputs are of another size than the head was built for.
        """
        if inputs.shape[1] != len(self.mean):
            raise ValueError(
                f"the head was built for {len(self.mean)} inputs; there are {inputs.shape[1]}"
            )
        draw = torch.Generator().manual_seed(seed)
        self._start(inputs, draw)
        inputs = (inputs - self.mean) / self.deviation
        layers = copy.deepcopy(self.layers).requires_grad_(True)
        rate, decay = self.learning_rate, self.weight_decay
        optimizer = torch.optim.Adam(layers.parameters(), rate, weight_decay=decay)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.steps)
        for _ in range(self.steps):
            rows = torch.randint(len(inputs), (self.batch_size,), generator=draw)
            optimizer.zero_grad()
            cost(layers(inputs[rows]), rows).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
        self.layers.load_state_dict(layers.state_dict())

    def _start(self, inputs: Tensor, draw: torch.Generator) -> None:
        deviation, mean = torch.std_mean(inputs, dim=0, correction=0)
        self.mean.copy_(mean)
        self.deviation.copy_(torch.where(deviation > 0, deviation, 1))
        for parameter in self.layers.parameters():
            if parameter.ndim == 2:
                nn.init.kaiming_uniform_(parameter, nonlinearity="relu", generator=draw)
            else:
                nn.init.zeros_(parameter)


def _zero_linear(num_inputs: int, num_outputs: int) -> nn.Module:
    layer: nn.Module = nn.utils.skip_init(nn.Linear, num_inputs, num_outputs)  # type: ignore[no-untyped-call]
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def check_learning(hidden: Sequence[int], steps: int) -> None:
    """Refuse layers and numbers of steps that no head can have.

    Raises:
        TypeError: A size or the number of steps is not a whole number.
        ValueError: It is below 1.
    """
    check_counts(steps=steps, **{f"hidden[{place}]": size for place, size in enumerate(hidden)})


def num_inputs(inputs: Inputs, num_classes: int, num_features: int) -> int:
    """Size of what a head looks at."""
    sizes = {"features": num_features, "scores": num_classes}
    return sizes.get(inputs, num_features + num_classes)


def select(
    inputs: Inputs, scores: Float[Tensor, "n c"], features: Float[Tensor, "n d"]
) -> Float[Tensor, "n i"]:
    """What a head looks at."""
    parts = {"features": features, "scores": scores}
    return parts[inputs] if inputs in parts else torch.cat([features, scores], 1)
