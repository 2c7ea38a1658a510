"""How alike the labels say anchors and references are: the matrix R, 1 − label distance."""

import math

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from ranklight.kernels.checks import (
    check_finite,
    check_not_negative,
    check_positive,
    check_tensors,
    check_vectors,
)
from ranklight.kernels.eager import eager_on_cpu
from ranklight.pairs.checks import check_classes, check_real_labels

_COMPARABLE = {torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64}


class SameClass(nn.Module):
    """R_ij = 1 where anchor i and reference j are of one class, else 0.

    Integers are compared as integers, so classes above 2^24 stay apart.

    Raises:
        ValueError: Labels are not one integer an image.

    Examples:
        >>> SameClass()(torch.tensor([7, 8]), torch.tensor([8, 7, 9]))
        tensor([[0., 1., 0.],
                [1., 0., 0.]])
    """

    def forward(
        self, labels: Shaped[Tensor, "n ..."], ref_labels: Shaped[Tensor, "m ..."]
    ) -> Float[Tensor, "n m"]:
        """Relevance of every reference to every anchor."""
        check_tensors(labels=labels, ref_labels=ref_labels)
        for given in (labels, ref_labels):
            if given.ndim != 1 or given.is_floating_point() or given.is_complex():
                raise ValueError(
                    "SameClass needs one integer class an image (shape [n]), got "
                    f"{given.dtype} of shape {list(given.shape)}; multi-hot labels go with "
                    "SharesLabel or LabelOverlap, continuous ones with LabelCloseness"
                )
        labels, ref_labels = _comparable(labels), _comparable(ref_labels)
        same = labels.unsqueeze(1) == ref_labels.unsqueeze(0)
        return same.view(torch.int8).float()


class SharesLabel(nn.Module):
    """R_ij = 1 where anchor i and reference j have a label in common, else 0; multi-hot labels.

        R_ij = [Σ_k [y_ik > 0] [y_jk > 0] > 0]

    A label above 0 applies, 0 does not, and one below, −1, is unknown: it is in common with
    nothing. An image without labels is relevant to nothing.

    Raises:
        ValueError: Labels are not multi-hot rows over the same classes; or, on the CPU, one is NaN.

    Examples:
        >>> labels = torch.tensor([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1]])
        >>> SharesLabel()(labels[:1], labels)
        tensor([[1., 1., 0.]])
    """

    def forward(
        self, labels: Shaped[Tensor, "n ..."], ref_labels: Shaped[Tensor, "m ..."]
    ) -> Float[Tensor, "n m"]:
        """Relevance of every reference to every anchor."""
        labels, ref_labels = _multi_hot(labels, ref_labels)
        return ((labels > 0).float() @ (ref_labels > 0).float().T > 0).float()


class LabelOverlap(nn.Module):
    """R_ij = |labels_i ∩ labels_j| / |labels_i ∪ labels_j|, the Jaccard index; multi-hot labels.

        R_ij = Σ_k p_ik p_jk / Σ_k k_ik k_jk max(p_ik, p_jk),   p = [y > 0],  k = [y ≥ 0]

    A label above 0 applies, 0 does not, and one below, −1, is unknown: only classes known of both
    images count. Where none of these applies to either, the two have the same label set, hence
    relevance 1; where there is no class known of both, 0.

    Raises:
        ValueError: Labels are not multi-hot rows over the same classes; or, on the CPU, one is NaN.

    Examples:
        >>> labels = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 1], [0, 0, 0, 1]])
        >>> LabelOverlap()(labels[:1], labels)
        tensor([[1.0000, 0.5000, 0.0000]])
    """

    def forward(
        self, labels: Shaped[Tensor, "n ..."], ref_labels: Shaped[Tensor, "m ..."]
    ) -> Float[Tensor, "n m"]:
        """Relevance of every reference to every anchor."""
        labels, ref_labels = _multi_hot(labels, ref_labels)
        applies, ref_applies = (labels > 0).float(), (ref_labels > 0).float().T
        known, ref_known = (labels >= 0).float(), (ref_labels >= 0).float().T
        shared = applies @ ref_applies
        union = applies @ ref_known + known @ ref_applies - shared
        same = (known @ ref_known > 0).float()
        return torch.where(union > 0, shared / union.clamp(min=1), same)


class LabelCloseness(nn.Module):
    """R_ij = 1 − ‖y_i − y_j‖_p; continuous labels, unbounded below.

    The differences are taken directly, so equal labels have relevance 1 exactly.

    Args:
        p: The norm, 1 or more: 2 is Euclidean (log-ratio loss), 1 the sum of differences
            (Rank-N-Contrast), infinity the largest difference.

    Raises:
        TypeError: p is no number, or labels are in half precision.
        ValueError: p is below 1; labels are not real vectors (or numbers) of the same size; or, on
            the CPU, one is not finite.

    Examples:
        >>> labels = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
        >>> LabelCloseness()(labels[:1], labels), LabelCloseness(p=1.0)(labels[:1], labels)
        (tensor([[ 1., -4.]]), tensor([[ 1., -6.]]))
    """

    def __init__(self, p: float = 2.0) -> None:
        super().__init__()
        if p != math.inf:
            check_finite(p=p)
        if p < 1:
            raise ValueError(f"p must be 1 or more, for below it is no norm; got {p}")
        self.p = p

    def forward(
        self, labels: Shaped[Tensor, "n ..."], ref_labels: Shaped[Tensor, "m ..."]
    ) -> Float[Tensor, "n m"]:
        """Relevance of every reference to every anchor."""
        labels, ref_labels = _real("LabelCloseness", labels, ref_labels)
        if labels.shape[1] == 1:
            return (labels - ref_labels.T).abs_().neg_().add_(1)
        return 1 - _distance(labels, ref_labels, self.p)


class LabelWithin(nn.Module):
    """R_ij = 1 where ‖y_i − y_j‖₂ is at most a threshold, else 0; continuous labels made binary.

    The baseline of the log-ratio paper (Kim et al., CVPR 2019, arXiv 1904.09626), which takes the
    30 nearest by label instead of those within a distance.

    Args:
        threshold: τ, 0 or more, in label units; larger calls more pairs the same.

    Raises:
        TypeError: The threshold is no number, or labels are in half precision.
        ValueError: The threshold is below 0 or not finite; labels are not real vectors (or numbers)
            of the same size; or, on the CPU, one is not finite.

    Examples:
        >>> labels = torch.tensor([10.0, 10.5, 13.0])
        >>> LabelWithin(threshold=1.0)(labels[:1], labels)
        tensor([[1., 1., 0.]])
    """

    def __init__(self, threshold: float) -> None:
        super().__init__()
        check_not_negative(threshold=threshold)
        self.threshold = threshold
        self.closeness = LabelCloseness()

    def forward(
        self, labels: Shaped[Tensor, "n ..."], ref_labels: Shaped[Tensor, "m ..."]
    ) -> Float[Tensor, "n m"]:
        """Relevance of every reference to every anchor."""
        closeness: Tensor = self.closeness(labels, ref_labels)
        return (1 - closeness <= self.threshold).to(closeness.dtype)


class GradedByAttributes(nn.Module):
    """Same class and near attributes, above same class, above another class.

        R_ij = [c_i = c_j] (s + (1 − s) e^{−‖a_i − a_j‖ / l})

    for labels (c, a_1, a_2, ...): the class in the first column, real attributes in the others.

    Args:
        same_class: s, 0..1, relevance of images of one class whose attributes are far apart.
        length: l, above 0, the attribute distance at which what is above s has fallen to 37 %.

    Raises:
        TypeError: A setting is no number, or labels are in half precision.
        ValueError: A setting is out of range; labels are not real vectors of the same size; or, on
            the CPU, one is not finite, or a class is so large that its type cannot tell it from the
            next.

    Examples:
        >>> labels = torch.tensor([[3.0, 0.1], [3.0, 0.1], [3.0, 99.0], [4.0, 0.1]])
        >>> GradedByAttributes(same_class=0.25)(labels[:1], labels)
        tensor([[1.0000, 1.0000, 0.2500, 0.0000]])
    """

    def __init__(self, same_class: float = 0.2, length: float = 0.5) -> None:
        super().__init__()
        check_not_negative(same_class=same_class)
        if same_class > 1:
            raise ValueError(f"same_class must be 0..1, as relevance is; got {same_class}")
        check_positive(length=length)
        self.same_class = same_class
        self.length = length

    def forward(
        self, labels: Float[Tensor, "n l"], ref_labels: Float[Tensor, "m l"]
    ) -> Float[Tensor, "n m"]:
        """Relevance of every reference to every anchor."""
        labels, ref_labels = _real("GradedByAttributes", labels, ref_labels)
        if not labels.shape[1]:
            raise ValueError("GradedByAttributes needs a class in the first column; got no column")
        for given in (labels, ref_labels):
            _check_classes(given[:, 0])
        same = labels[:, None, 0] == ref_labels[:, 0]
        near = (-_distance(labels[:, 1:], ref_labels[:, 1:]) / self.length).exp()
        return same * (self.same_class + (1 - self.same_class) * near)


class ByFeatures(nn.Module):
    """Near in a feature space is relevant: R_ij = e^{−‖f_i − f_j‖ / l}.

    Any vectors: a hand-made feature, another network's embedding; the "golden feature" of deep
    ranking (Wang et al., CVPR 2014, arXiv 1404.4661) was one, learnt from human ratings.

    Args:
        length: l, above 0, the distance at which relevance has fallen to 37 %.

    Raises:
        TypeError: The length is no number, or features are in half precision.
        ValueError: The length is not above 0; features are not real vectors of the same size; or,
            on the CPU, one is not finite.

    Examples:
        >>> features = torch.tensor([[0.0, 0.0], [0.0, 2.0]])
        >>> ByFeatures(length=2.0)(features[:1], features)
        tensor([[1.0000, 0.3679]])
    """

    def __init__(self, length: float = 1.0) -> None:
        super().__init__()
        check_positive(length=length)
        self.length = length

    def forward(
        self, labels: Float[Tensor, "n d"], ref_labels: Float[Tensor, "m d"]
    ) -> Float[Tensor, "n m"]:
        """Relevance of every reference to every anchor."""
        labels, ref_labels = _real("ByFeatures", labels, ref_labels)
        return (-_distance(labels, ref_labels) / self.length).exp()


class ByTable(nn.Module):
    """R_ij = table[i, j] for images whose label is their row and column of a table.

    For relevance that comes as numbers, from people or from a program, and not from label vectors.
    The table is looked up where it lies and is no part of a checkpoint.

    Args:
        table: Relevance of every column's image to every row's.

    Raises:
        TypeError: Table or labels are of another type.
        ValueError: The table is not square, labels are not one number an image; or, on the CPU, a
            label is no row of the table.

    Examples:
        >>> relevance = ByTable(torch.tensor([[1.0, 0.5, 0.0], [0.5, 1.0, 0.25], [0.0, 0.25, 1.0]]))
        >>> relevance(torch.tensor([1]), torch.tensor([0, 2]))
        tensor([[0.5000, 0.2500]])
    """

    def __init__(self, table: Float[Tensor, "k k"]) -> None:
        super().__init__()
        check_vectors(table=table)
        if table.shape[0] != table.shape[1]:
            raise ValueError(f"the table must be square; got {list(table.shape)}")
        self.table = table

    def forward(
        self, labels: Int[Tensor, "n"], ref_labels: Int[Tensor, "m"]
    ) -> Float[Tensor, "n m"]:
        """Relevance of every reference to every anchor."""
        check_tensors(labels=labels, ref_labels=ref_labels)
        for given in (labels, ref_labels):
            check_classes(given, len(self.table), "ByTable")
            if given.is_meta and not self.table.is_meta:
                raise ValueError("ByTable needs labels with values; got labels on meta")
        labels, ref_labels = labels.long(), ref_labels.long()
        rows, columns = labels.to(self.table.device), ref_labels.to(self.table.device)
        return self.table[rows[:, None], columns].to(labels.device)


def _distance(labels: Tensor, ref_labels: Tensor, p: float = 2.0) -> Tensor:
    # Not by products, which would give equal labels a distance.
    return torch.cdist(labels, ref_labels, p, compute_mode="donot_use_mm_for_euclid_dist")


def _comparable(labels: Tensor) -> Tensor:
    """Integers that can be compared with any others; torch has few operations for uint16..64."""
    return labels if labels.dtype in _COMPARABLE else labels.long()


def _real(user: str, labels: Tensor, ref_labels: Tensor) -> tuple[Tensor, Tensor]:
    """Real labels as vectors of one type."""
    check_tensors(labels=labels, ref_labels=ref_labels)
    for given in (labels, ref_labels):
        real = given.is_floating_point() and given.ndim > 0
        if not real or labels.shape[1:] != ref_labels.shape[1:]:
            raise ValueError(
                f"{user} needs real label vectors of one size, got {given.dtype} of shape "
                f"{list(labels.shape)} and {list(ref_labels.shape)}; integer classes go with "
                "SameClass"
            )
        check_real_labels(given, user)
    dtype = torch.promote_types(labels.dtype, ref_labels.dtype)
    size = labels.shape[1:].numel()
    labels, ref_labels = (y.detach().reshape(len(y), size) for y in (labels, ref_labels))
    return labels.to(dtype), ref_labels.to(dtype)


def _check_classes(classes: Tensor) -> None:
    """Refuse, on the CPU, classes beyond which floats leave out integers."""
    largest = 2 / torch.finfo(classes.dtype).eps
    if eager_on_cpu(classes) and (classes.abs() >= largest).any():
        raise ValueError(
            f"classes must be below {largest:.0f}, from where {classes.dtype} leaves out integers; "
            f"got {classes.abs().max():.0f}"
        )


def _multi_hot(labels: Tensor, ref_labels: Tensor) -> tuple[Tensor, Tensor]:
    check_tensors(labels=labels, ref_labels=ref_labels)
    for given in (labels, ref_labels):
        if given.is_floating_point() and eager_on_cpu(given) and given.isnan().any():
            raise ValueError("multi-hot labels are 1, 0, or -1 for unknown; got NaN")
        if given.is_complex():
            raise ValueError(f"multi-hot labels are 1, 0, or -1 for unknown; got {given.dtype}")
    if labels.ndim != 2 or labels.shape[1:] != ref_labels.shape[1:]:
        raise ValueError(
            "multi-hot labels (shape [n, classes]) are needed on both sides, got "
            f"{list(labels.shape)} and {list(ref_labels.shape)}"
        )
    sides = (labels, ref_labels)
    labels, ref_labels = (y if y.is_floating_point() else _comparable(y) for y in sides)
    return labels, ref_labels
