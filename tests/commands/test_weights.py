"""Weight against similarity, drawn and printed."""

import pytest
import torch

from ranklight.commands.weights import curve, draw
from ranklight.losses import ContrastiveLoss, MultiSimilarityLoss, TripletLoss


def test_draws_one_picture_and_prints_a_row_a_kind(tmp_path, capsys):
    losses = {"contrastive": ContrastiveLoss(), "multi-similarity": MultiSimilarityLoss()}
    draw(losses, tmp_path / "weights.png")
    assert (tmp_path / "weights.png").read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert all(word in printed for word in (*losses, "positive", "negative"))


def test_the_swept_pair_is_the_one_that_is_weighed():
    found = curve(TripletLoss(margin=0.2, average="all"), torch.tensor([-1.0, 0.95]))
    triplets_with_a_positive, triplets_with_a_negative = 3 * 2, 2 * 3
    assert found.positive.tolist() == pytest.approx([2 * 2 / triplets_with_a_positive, 0])
    assert found.negative.tolist() == pytest.approx([0, 2 * 2 / triplets_with_a_negative])
