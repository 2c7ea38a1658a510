"""Whether a graph says what its run says: asked the same, of the same pictures."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Shaped, UInt8
from torch import Tensor

from ranklight.models import Pictures
from ranklight.serving.exported.formats import Graph
from ranklight.serving.pictures import sources_of
from ranklight.serving.trained_model import TrainedModel
from ranklight.serving.view import View

_PICTURES = 32
_SIZE = (300, 400)
_TOLERANCE = {False: 1e-4, True: 1e-2}
# A score that lies on a threshold may fall to either side.
_OTHER_SETS = {False: 0.05, True: 0.1}


class Example(NamedTuple):
    """Pictures, and what the run says of them.

    Args:
        pictures: As the encoder takes them.
        drawn: Whether they were drawn, for want of one's own.
        decision: The rule that decided on labels, if one did.
        answers: By name.
    """

    pictures: Pictures
    drawn: bool
    decision: str | None
    answers: dict[str, Shaped[Tensor, "n _"]]


class Tested(NamedTuple):
    """How a graph compares with its run.

    Args:
        half: Whether its weights are in float16.
        differences: Of embeddings and scores the largest, over the largest of their values; of
            `decided` the share of pictures that get another set of labels.
        limits: What was allowed of each.
    """

    half: bool
    differences: dict[str, float]
    limits: dict[str, float]


def ask(
    trained: TrainedModel, decision: str | None = None, images: Sequence[str] | None = None
) -> Example:
    """What a run says of up to 32 pictures.

    Args:
        trained: The run.
        decision: The rule that is to decide; None: the only one that was fitted, if it is one.
        images: Files and folders; None draws pictures, from fine to coarse.

    Raises:
        FileNotFoundError: There is no such file or folder, or no image in it.
        ValueError: There is no such rule, or an image cannot be read.
    """
    if decision is not None or len(trained.decisions) == 1:
        decision = trained.decision(decision)
    pictures = _drawn(trained.transform) if images is None else _read(trained.transform, images)
    answers = trained.answer(pictures, decision)._asdict()
    said = {name: values for name, values in answers.items() if values is not None}
    return Example(pictures, images is None, decision, said)


def compare_graph(
    graph: Graph, example: Example, half: bool = False, tolerance: float | None = None
) -> Tested:
    """Compare a graph with its run; the first picture is a batch alone, so two sizes are tried.

    Args:
        graph: The graph.
        example: What the run says.
        half: Whether it is in half precision, where more is allowed.
        tolerance: The largest difference of embeddings and scores that is; None: 1e-4, or 1e-2.

    Raises:
        ValueError: It differs by more; says where and by how much.
    """
    pictures, answers = example.pictures, example.answers
    batches = [batch for batch in (pictures[:1], pictures[1:]) if len(batch)]
    parts = [graph(batch.numpy()) for batch in batches]
    said = {name: np.concatenate([part[name] for part in parts]) for name in answers}
    allowed = _TOLERANCE[half] if tolerance is None else tolerance
    tested = Tested(
        half,
        {name: _difference(torch.from_numpy(said[name]), answers[name]) for name in answers},
        {name: _OTHER_SETS[half] if name == "decided" else allowed for name in answers},
    )
    for name, difference in tested.differences.items():
        # Not "above": NaN is not allowed either.
        if not difference <= tested.limits[name]:
            raise ValueError(
                f"the graph does not answer as the run does: {name} differ by {difference:.2g} on "
                f"{len(pictures)} pictures, where {tested.limits[name]:.2g} is allowed, and "
                f"nothing was written; {'export without --half, or ' if half else ''}allow more by "
                "--tolerance"
            )
    return tested


def _difference(said: Tensor, expected: Tensor) -> float:
    if expected.dtype == torch.bool:
        return float((said != expected).any(1).double().mean())
    largest = expected.abs().max().clamp(min=torch.finfo(expected.dtype).tiny)
    return float((said - expected).abs().max() / largest)


def _read(view: View, images: Sequence[str]) -> Pictures:
    sources = list(sources_of(list(images), view.background))[:_PICTURES]
    return torch.stack(
        [view(each) if isinstance(each, Tensor) else view.read(each) for each in sources]
    )


def _drawn(view: View) -> Pictures:
    draw = torch.Generator().manual_seed(0)
    sides = [2 ** (1 + number % 6) for number in range(_PICTURES)]
    coarse = [torch.rand(1, 3, side, side, generator=draw) for side in sides]
    return torch.stack(
        [view(_bytes(F.interpolate(each, _SIZE, mode="bilinear"))) for each in coarse]
    )


def _bytes(picture: Tensor) -> UInt8[Tensor, "3 h w"]:
    return (picture[0] * 255).round().to(torch.uint8)
