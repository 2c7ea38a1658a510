"""Queries beside their nearest neighbours."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from pytorch_lightning import LightningModule
from torch import Tensor, nn

from ranklight.callbacks.evaluation.embedding_evaluation import EmbeddingEvaluation
from ranklight.callbacks.evaluation.label_ranking import LabelRanking
from ranklight.callbacks.pictures.captions import Captions
from ranklight.callbacks.pictures.figures import RIGHT, WRONG
from ranklight.callbacks.pictures.marks import LabelDistance, Mark, RightOrWrong, mark_for
from ranklight.pairs import LabelCloseness, SameClass
from ranklight.running.picture_sheet import Line, Panel, draw_sheet
from ranklight.search import Embedded, neighbour_lists


class Found(NamedTuple):
    """What is shown: queries, and what the model found for them.

    Args:
        queries: Rows of the queries.
        lists: For each the rows of the gallery that are nearest, nearest first; −1 past the end.
        relevance: Of each of these.
        mark: How relevance is shown.
    """

    queries: Int[Tensor, "q"]
    lists: Int[Tensor, "q k"]
    relevance: Float[Tensor, "q k"]
    mark: Mark


def find(
    evaluation: EmbeddingEvaluation,
    pl_module: LightningModule,
    count: int,
    neighbours: int,
    device: torch.device,
) -> Found:
    """The neighbours of some queries of what was evaluated last; collective."""
    assert evaluation.last is not None
    queries = evaluation.last.to(device)
    gallery = evaluation.last_gallery and evaluation.last_gallery.to(device)
    among = queries if gallery is None else gallery
    labels, ref_labels = (rows.shards.all_gather(rows.labels).cpu() for rows in (queries, among))
    asked = _spread(labels, count)
    lists = _neighbours(queries, gallery, asked, neighbours)
    relevance = relevance_of(evaluation, pl_module)(labels[asked], ref_labels)
    mark = mark_for(relevance)
    if isinstance(evaluation, LabelRanking) and not isinstance(mark, RightOrWrong):
        mark = LabelDistance()
    return Found(asked, lists, relevance.gather(1, lists.clamp(min=0)), mark)


def relevance_of(evaluation: EmbeddingEvaluation, pl_module: LightningModule) -> nn.Module:
    """The relevance that was scored, else that which was trained for; same class by default."""
    if isinstance(evaluation, LabelRanking):
        return evaluation.relevance or LabelCloseness()
    scored: nn.Module | None = getattr(evaluation, "relevance", None)
    if scored is not None:
        return scored
    objective: Any = getattr(pl_module, "objective", None)
    parts = () if objective is None else objective.modules()
    return next((part.relevance for part in parts if hasattr(part, "relevance")), SameClass())


def neighbour_sheet(
    found: Found, queries: Captions, gallery: Captions, predicted: Mapping[int, int]
) -> Any:
    """One line a query: the query, then its neighbours.

    Args:
        found: What to show.
        queries: Pictures and names of queries.
        gallery: Those of what was searched.
        predicted: The class that a classifier gave to a query, by id; perhaps of none.
    """
    rows = []
    lists = (part.tolist() for part in (found.queries, found.lists, found.relevance))
    for query, neighbours, relevance in zip(*lists, strict=True):
        row = [_query(query, queries, predicted)]
        for neighbour, value in zip(neighbours, relevance, strict=True):
            if neighbour >= 0:
                words = [*gallery.names(neighbour), found.mark.words(value)]
                lines = [Line(word) for word in words if word]
                row.append(Panel(gallery.picture(neighbour), lines, found.mark.frame(value)))
        rows.append(row)
    figure = draw_sheet(rows)
    figure.axes[0].set_title("query", fontsize=9)
    if len(rows[0]) > 1:
        figure.axes[1].set_title("nearest first →", fontsize=9, loc="left")
    found.mark.explain(figure)
    return figure


def _query(row: int, queries: Captions, predicted: Mapping[int, int]) -> Panel:
    lines, image = [Line(name) for name in queries.names(row)], queries.picture(row)
    given = predicted.get(int(queries.ids[row]))
    if given is None:
        return Panel(image, lines)
    colour = RIGHT if given == int(queries.labels[row]) else WRONG
    return Panel(image, [*lines, Line(f"predicted {queries.class_name(given)}", colour)], colour)


def _neighbours(
    queries: Embedded, gallery: Embedded | None, asked: Int[Tensor, "q"], count: int
) -> Int[Tensor, "q k"]:
    """Positions of the nearest of some queries; each rank asks for its own, all get all."""
    others = queries.shards.size - 1 if gallery is None else gallery.shards.size
    k = min(count, others)
    own = queries.shards.global_to_local(asked.to(queries.ids.device))
    counts = torch.zeros_like(queries.ids)
    counts[own[own >= 0]] = k
    lists = torch.full((len(counts), k), -1, device=counts.device)
    for row, found in neighbour_lists(queries, gallery, counts):
        lists[row] = found[:, :k]
    return queries.shards.take(lists, asked.to(lists.device)).cpu()


def _spread(labels: Tensor, count: int) -> Int[Tensor, "q"]:
    """So many rows, spread evenly, in the order of labels where these are classes."""
    if labels.ndim > 1 or labels.is_floating_point():
        order = torch.arange(len(labels))
    else:
        order = labels.argsort(stable=True)
    count = min(count, len(labels))
    return order[(torch.arange(count) * 2 + 1) * len(labels) // (2 * count)]
