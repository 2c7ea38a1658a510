"""Recall within the first k, differentiable."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ranklight.kernels.checks import check_counts, check_positive
from ranklight.kernels.masked import masked_mean
from ranklight.kernels.packing import true_columns
from ranklight.kernels.soft_ranks import soft_ranks
from ranklight.pairs.selection import loss_inputs, positive_pairs


class RecallAtKLoss(nn.Module):
    """One minus the share of an anchor's positives among its first k references, for several k.

        L = mean over a and k of  1 − min(k, Σ_{i ∈ P_a} σ((k − rank_i) / τ_k)) / min(k, |P_a|)
        rank_i = 1 + Σ_{j ∈ P_a ∪ N_a, j ≠ i} σ((S_aj − S_ai) / τ)

    P_a and N_a are the selected positives (R > 0) and negatives; anchors without positives are left
    out of the mean. Positives × references are held for a few anchors at a time, or for a part of
    one anchor's positives. τ is for similarities of unit vectors. It is recall as information
    retrieval has it and not the hit rate that metric learning reports as Recall@K.

    Patel, Tolias, Matas: Recall@k Surrogate Loss with Large Batches and Similarity Mixup (RS@k),
    CVPR 2022, arXiv 2108.11179; defaults are theirs. The two min are the released code's, which has
    τ_k = k, counts the query itself ahead of every positive, so that ranks start near 2, and needs
    classes of equal size. The paper's batches have 4,000 images; its mixup of similarities is not
    here.

    Args:
        ks: k, each at least 1.
        temperature: τ, in similarity; smaller is closer to recall, with less gradient.
        count_temperature: τ_k, in ranks; larger has positives count that are farther from place k.

    Example:
        >>> similarity, relevance = torch.tensor([[0.2, 0.6]]), torch.tensor([[1.0, 0.0]])
        >>> RecallAtKLoss(ks=[2])(similarity, relevance, relevance >= 0)  # 1 − σ(2 − 2)
        tensor(0.5000)
    """

    wants_unit_vectors = True

    def __init__(
        self,
        ks: Sequence[int] = (1, 2, 4, 8, 16),
        temperature: float = 0.01,
        count_temperature: float = 1.0,
    ) -> None:
        super().__init__()
        check_positive(temperature=temperature, count_temperature=count_temperature)
        if not ks:
            raise ValueError("RecallAtKLoss needs one k or more, got none")
        check_counts(**{f"ks[{place}]": k for place, k in enumerate(ks)})
        self.ks = tuple(ks)
        self.temperature = temperature
        self.count_temperature = count_temperature

    def forward(
        self,
        similarity: Float[Tensor, "n m"],
        relevance: Float[Tensor, "n m"],
        selection: Bool[Tensor, "n m"],
    ) -> Float[Tensor, ""]:
        """Loss of a selection of pairs.

        Raises:
            TypeError: S or R are not floats, or the selection is not of pairs (Bool).
            ValueError: The three are not of one shape and on one device.
        """
        similarity, relevance, selection = loss_inputs(similarity, relevance, selection)
        positive = positive_pairs(relevance, selection)
        columns, positives = true_columns(positive), positive.sum(1)
        ranks = soft_ranks(similarity, columns, selection, self.temperature)
        recall = torch.zeros_like(similarity[:, 0])
        for k in self.ks:
            inside = ((k - ranks) / self.count_temperature).sigmoid()
            hits = torch.where(columns < 0, 0, inside).sum(1).clamp(max=k)
            recall = recall + hits / positives.clamp(1, k)
        return masked_mean(1 - recall / len(self.ks), positives > 0)
