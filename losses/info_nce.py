"""A softmax for each positive, of it alone against the negatives."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ranklight.kernels.checks import check_positive
from ranklight.kernels.masked import log1p_exp, log_sum_exp, masked_mean
from ranklight.kernels.packing import true_columns
from ranklight.pairs.selection import loss_inputs, split


class InfoNCELoss(nn.Module):
    """Each positive pair should be the one that a softmax over it and the negatives picks.

        L = mean over i and p ∈ P_i of  −log( e^{S_ip/τ} / (e^{S_ip/τ} + Σ_{j ∈ N_i} e^{S_ij/τ}) )

    P_i and N_i are the selected positives (R > 0) and negatives. A positive does not compete with
    the other positives of its anchor, as it does in `SupConLoss`; with one positive an anchor, as
    of two views of an image, the two are equal. τ is for similarities of unit vectors.

    Van den Oord, Li, Vinyals: Representation Learning with Contrastive Predictive Coding, 2018,
    arXiv 1807.03748. On two views of a batch, the other view the positive and all others negatives,
    it is NT-Xent (Chen, Kornblith, Norouzi, Hinton: SimCLR, ICML 2020, arXiv 2002.05709), whose
    τ = 0.1 on ImageNet is the default; MoCo and pytorch-metric-learning's NTXentLoss have 0.07. The
    mean over pairs is that of the latter. Anchors from one encoder and references from another:
    `objective(images, references=texts)`.

    Args:
        temperature: τ, in similarity; smaller looks at the hardest negatives only.

    Example:
        >>> similarity, relevance = torch.tensor([[0.5, 0.5]]), torch.tensor([[1.0, 0.0]])
        >>> InfoNCELoss()(similarity, relevance, relevance >= 0)  # −log ½
        tensor(0.6931)
    """

    wants_unit_vectors = True

    def __init__(self, temperature: float = 0.1) -> None:
        super().__init__()
        check_positive(temperature=temperature)
        self.temperature = temperature

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
        positive, negative = split(relevance, selection)
        logits = similarity / self.temperature
        column = true_columns(positive)
        picked = torch.where(column >= 0, logits.gather(1, column.clamp(min=0)), 0)
        others = log_sum_exp(logits, negative).unsqueeze(1)
        return masked_mean(log1p_exp(others - picked), column >= 0)
