"""`ranklight weights`: how the weight of a pair depends on its similarity, loss by loss."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

import torch
from jsonargparse import ArgumentParser, auto_cli
from rich.table import Column, Table
from torch import Tensor, nn

from ranklight.commands.errors import refuse
from ranklight.commands.outputs import check_picture
from ranklight.commands.refusals import sentence_of_parser
from ranklight.files.figures import save_figure
from ranklight.losses import ContrastiveLoss, MultiSimilarityLoss, TripletLoss
from ranklight.pairs.weights import pair_weights
from ranklight.plain_console import plain_console

_POSITIVES = (0.6, 0.8)
_NEGATIVES = (0.2, 0.5)
_TABLE = (-0.5, 0.0, 0.25, 0.5, 0.75, 0.9)


class _Parser(ArgumentParser):
    """Refuses in one sentence."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        if not self.exit_on_error:
            super().error(message, ex)
        refuse(f"{sentence_of_parser(message)} (all keys: ranklight weights --help)", "weights")


class Curve(NamedTuple):
    """Weights of one pair whose similarity is swept while the other pairs of its anchor stay."""

    similarity: Tensor
    positive: Tensor
    negative: Tensor


def main(arguments: Sequence[str]) -> None:
    """Draw the losses that the command line names."""
    auto_cli(
        weights,
        args=list(arguments),
        as_positional=False,
        prog="ranklight weights",
        parser_class=_Parser,
    )


def curve(loss: nn.Module, similarity: Tensor) -> Curve:
    """Weights of a positive and of a negative at each of these similarities.

    The anchor has two more positives, at 0.6 and 0.8, and two more negatives, at 0.2 and 0.5. Each
    similarity is a batch of its own, so no loss averages over the sweep.
    """
    others = torch.tensor([*_POSITIVES, *_NEGATIVES])
    relevance_of_others = torch.tensor([1.0] * len(_POSITIVES) + [0.0] * len(_NEGATIVES))
    weights = []
    for kind in (1.0, 0.0):
        relevance = torch.cat([torch.tensor([kind]), relevance_of_others]).unsqueeze(0)
        rows = [torch.cat([s.reshape(1), others]).unsqueeze(0) for s in similarity]
        selection = torch.ones_like(relevance, dtype=torch.bool)
        try:
            swept = [pair_weights(loss, row, relevance, selection)[0, 0] for row in rows]
        except (TypeError, RuntimeError) as error:
            raise ValueError(
                "weights are of losses of pairs, which take similarity, relevance and a selection; "
                f"{type(loss).__name__} does not: {error}"
            ) from error
        weights.append(torch.stack(swept))
    return Curve(similarity, *weights)


def draw(losses: dict[str, nn.Module], path: Path) -> None:
    """Draw weight against similarity for each loss into one picture, and print the table.

    Args:
        losses: Losses of pairs by the name they get in the legend.
        path: A file that matplotlib can write, for example weights.png.
    """
    from matplotlib.figure import Figure

    similarity = torch.linspace(-1, 0.995, 200)
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2, sharex=True)
    for name, loss in losses.items():
        found = curve(loss, similarity)
        left.plot(similarity, found.positive, label=name)
        right.plot(similarity, found.negative, label=name)
    for axes, kind in ((left, "positive"), (right, "negative")):
        axes.set(title=f"a {kind} pair", xlabel="similarity S", ylabel="weight |∂L/∂S|")
    right.legend()
    save_figure(figure, path, dpi=150)
    plain_console().print(table(losses))


def weights(losses: list[nn.Module] | None = None, path: str = "weights.png") -> None:
    """Draw and print how the weight of a pair depends on its similarity, loss by loss.

    Args:
        losses: For example `[ranklight.losses.ContrastiveLoss, mine.Loss]`, each with init_args
            if wanted; by default those of the general pair weighting's paper.
        path: The picture.
    """
    check_picture("--path", path)
    if losses == []:
        raise ValueError("--losses must name one loss or more; got []")
    if losses is None:
        losses = [MultiSimilarityLoss(), ContrastiveLoss(), TripletLoss()]
    names = [type(loss).__name__ for loss in losses]
    numbered = [
        f"{name} {names[: index + 1].count(name)}" if names.count(name) > 1 else name
        for index, name in enumerate(names)
    ]
    draw(dict(zip(numbered, losses, strict=True)), Path(path))
    print(f"picture: {path}")


def table(losses: dict[str, nn.Module]) -> Table:
    """Weights of each loss at a few similarities, which head the columns."""
    similarity = torch.tensor(_TABLE)
    result = Table(
        *(Column(n, no_wrap=True) for n in ("loss", "pair", *map("{:g}".format, _TABLE)))
    )
    for name, loss in losses.items():
        found = curve(loss, similarity)
        result.add_row(name, "positive", *(f"{w:.2f}" for w in found.positive.tolist()))
        result.add_row("", "negative", *(f"{w:.2f}" for w in found.negative.tolist()))
    return result
