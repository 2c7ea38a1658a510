"""Images of several labels each, with what was predicted of them."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ranklight.callbacks.pictures.captions import Captions
from ranklight.callbacks.pictures.figures import MISSED, RIGHT, UNKNOWN, WRONG
from ranklight.datamodules import Batch
from ranklight.datamodules.randomness import random_bits
from ranklight.kernels.distributed import all_gather_object
from ranklight.models import top_labels
from ranklight.running.picture_sheet import Line, Panel, draw_sheet

_COLUMNS, _MOST_LINES = 8, 8
_RULE = "decision/"


class Said(NamedTuple):
    """What a model says of some images.

    Args:
        ids: Which images these are.
        labels: Their labels: 1 applies, 0 does not, −1 is unknown.
        predicted: True where a label was predicted.
    """

    ids: Int[Tensor, "n"]
    labels: Float[Tensor, "n c"]
    predicted: Bool[Tensor, "n c"]


class LabelledImages:
    """Some images of a pass, and what is said of them; the same on any number of ranks.

    Which images these are follows from their index alone, so no more than `count` are ever held.

    Args:
        count: How many.
        rule: The decision rule whose labels are predicted; by default the last of the module.
            Without rules (and in validation, which asks none) the labels that score highest, as
            many as an image has.
    """

    def __init__(self, count: int, rule: str | None = None) -> None:
        self.count = count
        self.rule = rule
        self.predicted_by = "highest scores, as many as there are labels"
        self._kept: list[tuple[Tensor, ...]] = []

    def add(self, outputs: Mapping[str, Tensor], batch: Batch) -> None:
        """Look at a batch."""
        index, labels = batch.index.cpu(), batch.labels.cpu()
        predicted = self._predicted(outputs, batch.labels).cpu()
        images = zip(index, labels, predicted, strict=True)
        self._kept = _few([*self._kept, *images], self.count)

    def gather(self) -> Said | None:
        """The images of all ranks, by index; None if there are none. Collective."""
        ranks = all_gather_object(self._kept)
        kept = _few([image for rank in ranks for image in rank], self.count)
        kept.sort(key=lambda image: int(image[0]))
        if not kept:
            return None
        return Said(*(torch.stack(column) for column in zip(*kept, strict=True)))

    def _predicted(self, outputs: Mapping[str, Tensor], labels: Tensor) -> Tensor:
        rules = [name.removeprefix(_RULE) for name in outputs if name.startswith(_RULE)]
        if rules:
            rule = self.rule or rules[-1]
            self.predicted_by = rule
            return outputs[f"{_RULE}{rule}"]
        return top_labels(outputs["scores"], (labels > 0).sum(1))


def label_sheet(said: Said, captions: Captions, predicted_by: str) -> Any:
    """A picture an image, framed green if all is right, above its labels and what was wrong."""
    panels = []
    for row, (labels, predicted) in enumerate(zip(*said[1:], strict=True)):
        lines = [Line(captions.file(row)), *label_lines(labels, predicted, captions)]
        wrong = ((labels > 0) != predicted) & (labels >= 0)
        panels.append(Panel(captions.picture(row), lines, WRONG if wrong.any() else RIGHT))
    rows = [panels[first : first + _COLUMNS] for first in range(0, len(panels), _COLUMNS)]
    figure = draw_sheet(rows)
    figure.suptitle(f"labels predicted by {predicted_by}", fontsize=9, parse_math=False)
    return figure


def label_lines(
    labels: Float[Tensor, "c"], predicted: Bool[Tensor, "c"], captions: Captions
) -> list[Line]:
    """Labels that apply or were predicted: right ones, missed ones, false ones, unknown ones."""
    kinds = [
        ((labels > 0) & predicted, "{}", RIGHT),
        ((labels > 0) & ~predicted, "missed: {}", MISSED),
        ((labels == 0) & predicted, "false: {}", WRONG),
        ((labels < 0) & predicted, "unknown: {}", UNKNOWN),
    ]
    lines = [
        Line(words.format(captions.class_name(place)), colour)
        for which, words, colour in kinds
        for place in which.nonzero().flatten().tolist()
    ]
    if len(lines) > _MOST_LINES:
        more = len(lines) - _MOST_LINES + 1
        lines = [*lines[: _MOST_LINES - 1], Line(f"and {more} more")]
    return lines or [Line("no label")]


def _few(images: list[tuple[Tensor, ...]], count: int) -> list[tuple[Tensor, ...]]:
    """Of images, each once, those whose random number is smallest."""
    once = {int(image[0]): image for image in images}
    chosen = sorted(once, key=lambda index: int(random_bits(0, index)[0]))[:count]
    return [once[index] for index in chosen]
