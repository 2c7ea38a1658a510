"""Inputs that the losses' tests share."""

import pytest
import torch


@pytest.fixture(scope="session")
def multi_hot():
    """`multi_hot(seed, rows, labels) -> (similarity, relevance, selection)` in float64.

    Some labels are unknown. Of four rows or more, row 0 has no positive, row 1 no negative, and of
    row 2 nothing is selected.
    """

    def make(seed, rows, labels, spread=1.0, ties=False):
        torch.manual_seed(seed)
        similarity = torch.randn(rows, labels, dtype=torch.float64) * spread
        if ties:
            similarity = (2 * similarity).round() / 2
        relevance = (torch.rand(rows, labels) < 0.4).double()
        selection = torch.rand(rows, labels) < 0.8
        if rows > 3:
            relevance[0], relevance[1], selection[2] = 0, 1, False
        return similarity.requires_grad_(), relevance, selection

    return make


@pytest.fixture(scope="session")
def sides():
    """`sides(similarity, relevance, selection)` -> a row's (positives, negatives), for each row."""

    def divide(similarity, relevance, selection):
        rows = []
        for scores, relevances, selected in zip(
            similarity.tolist(), relevance.tolist(), selection.tolist(), strict=True
        ):
            known = [(s, r) for s, r, k in zip(scores, relevances, selected, strict=True) if k]
            rows.append(([s for s, r in known if r > 0], [s for s, r in known if r <= 0]))
        return rows

    return divide


@pytest.fixture(scope="session")
def compared():
    """`compared(seed, anchors, references, levels) -> (similarity, relevance, selection)`, float64.

    Similarities of real embeddings, some of them duplicates; relevance is 0, 1 / (levels − 1), ...,
    1. With `ties` embeddings stand on a grid. Nothing of row 2 is selected; row 1 has one level.
    """

    def make(seed, anchors, references, levels=2, spread=1.0, ties=False):
        torch.manual_seed(seed)
        embeddings = torch.randn(anchors + references, 3, dtype=torch.float64) * 0.7
        if ties:
            embeddings = (2 * embeddings).round() / 2
        embeddings[-1] = embeddings[0]
        squared = torch.cdist(embeddings[:anchors], embeddings[anchors:]).square() * spread**2
        relevance = torch.randint(levels, (anchors, references)).double() / max(1, levels - 1)
        selection = torch.rand(anchors, references) < 0.8
        relevance[1:2], selection[2:3] = 1, False
        return (1 - squared / 2).requires_grad_(), relevance, selection

    return make
