"""How alike the labels say anchors and references are: the matrix R, 1 − label distance."""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn


class SameClass(nn.Module):
    """R_ij = 1 where anchor i and reference j are of one class, else 0.

    Integers are compared as integers, so classes above 2^24 stay apart.

    Raises:
        ValueError: Labels are not one integer an image.
    """

    def forward(
        self, labels: Shaped[Tensor, "n ..."], ref_labels: Shaped[Tensor, "m ..."]
    ) -> Float[Tensor, "n m"]:
        """Relevance of every reference to every anchor."""
        for given in (labels, ref_labels):
            if given.ndim != 1 or given.is_floating_point():
                raise ValueError(
                    "SameClass needs one integer class an image (shape [n]), got "
                    f"{given.dtype} of shape {list(given.shape)}; multi-hot labels go with "
                    "SharesLabel or LabelOverlap, continuous ones with LabelCloseness"
                )
        same = labels.unsqueeze(1) == ref_labels.unsqueeze(0)
        return same.view(torch.int8).float()


class SharesLabel(nn.Module):
    """R_ij = 1 where anchor i and reference j have a label in common, else 0; multi-hot labels.

    An image without labels is relevant to nothing.

    Raises:
        ValueError: Labels are not multi-hot rows over the same classes.
    """

    def forward(
        self, labels: Shaped[Tensor, "n ..."], ref_labels: Shaped[Tensor, "m ..."]
    ) -> Float[Tensor, "n m"]:
        """Relevance of every reference to every anchor."""
        return (_shared_labels(labels, ref_labels) > 0).float()


class LabelOverlap(nn.Module):
    """R_ij = |labels_i ∩ labels_j| / |labels_i ∪ labels_j|, the Jaccard index; multi-hot labels.

    Two images without any label have the same label set, hence relevance 1.

    Raises:
        ValueError: Labels are not multi-hot rows over the same classes.
    """

    def forward(
        self, labels: Shaped[Tensor, "n ..."], ref_labels: Shaped[Tensor, "m ..."]
    ) -> Float[Tensor, "n m"]:
        """Relevance of every reference to every anchor."""
        shared = _shared_labels(labels, ref_labels)
        counts, ref_counts = labels.float().sum(1), ref_labels.float().sum(1)
        union = counts.unsqueeze(1) + ref_counts.unsqueeze(0) - shared
        return torch.where(union > 0, shared / union.clamp(min=1), 1.0)


class LabelCloseness(nn.Module):
    """R_ij = 1 − ‖y_i − y_j‖_p; continuous labels, unbounded below.

    The differences are taken directly, so equal labels have relevance 1 exactly.

    Args:
        p: The norm: 2 is Euclidean (log-ratio loss), 1 the sum of differences (Rank-N-Contrast).

    Raises:
        ValueError: Labels are not real vectors (or numbers) of the same size.
    """

    def __init__(self, p: float = 2.0) -> None:
        super().__init__()
        self.p = p

    def forward(
        self, labels: Shaped[Tensor, "n ..."], ref_labels: Shaped[Tensor, "m ..."]
    ) -> Float[Tensor, "n m"]:
        """Relevance of every reference to every anchor."""
        if not labels.is_floating_point() or labels.shape[1:] != ref_labels.shape[1:]:
            raise ValueError(
                "LabelCloseness needs real label vectors of one size, got "
                f"{labels.dtype} of shape {list(labels.shape)} and {list(ref_labels.shape)}; "
                "integer classes go with SameClass"
            )
        labels, ref_labels = (y.reshape(len(y), -1) for y in (labels, ref_labels))
        if labels.shape[1] == 1:
            return 1 - (labels - ref_labels.T).abs()
        mode = "donot_use_mm_for_euclid_dist"
        return 1 - torch.cdist(labels, ref_labels, p=self.p, compute_mode=mode)


class LabelWithin(nn.Module):
    """R_ij = 1 where ‖y_i − y_j‖₂ is at most a threshold, else 0; continuous labels made binary.

    The baseline of the log-ratio paper (Kim et al., CVPR 2019, arXiv 1904.09626), which takes the
    30 nearest by label instead of those within a distance.

    Args:
        threshold: τ, in label units; larger calls more pairs the same.

    Raises:
        ValueError: Labels are not real vectors (or numbers) of the same size.
    """

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self.threshold = threshold
        self.closeness = LabelCloseness()

    def forward(
        self, labels: Shaped[Tensor, "n ..."], ref_labels: Shaped[Tensor, "m ..."]
    ) -> Float[Tensor, "n m"]:
        """Relevance of every reference to every anchor."""
        closeness: Tensor = self.closeness(labels, ref_labels)
        return (1 - closeness <= self.threshold).to(closeness.dtype)


def _shared_labels(labels: Tensor, ref_labels: Tensor) -> Tensor:
    if labels.ndim != 2 or labels.shape[1:] != ref_labels.shape[1:]:
        raise ValueError(
            "multi-hot labels (shape [n, classes]) are needed on both sides, got "
            f"{list(labels.shape)} and {list(ref_labels.shape)}"
        )
    return labels.float() @ ref_labels.float().T
