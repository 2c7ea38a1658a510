"""Scores of ranked relevance: pure functions, one number a query.

A ranking is the relevance R_ij of the j-th nearest of query i: above 0 is relevant, and how much
matters to `ndcg_at_k` alone. Junk, which is neither right nor wrong, was left out of it before.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ranklight.kernels.checks import check_counts, check_integers, check_values_are_there
from ranklight.metrics.checks import real_matrix

Ranked = Float[Tensor, "n k"] | Bool[Tensor, "n k"]


def recall_at_k(ranked_relevance: Ranked, relevant: Int[Tensor, "n"], k: int) -> Float[Tensor, "n"]:
    """Whether anything relevant is among the k nearest.

        Recall@K_i = max_{j ≤ K} [R_ij > 0]

    This is the **hit rate**, which metric learning calls Recall@K (Jégou, Douze, Schmid: Product
    Quantization for Nearest Neighbor Search, TPAMI 2011; Song et al., CVPR 2016, arXiv
    1511.06452). It is not the share of all relevant images that were found, the recall of
    information retrieval.

    A ranking has no ties: in ours the smaller index comes first among equally near images. The
    released code of cross-batch memory and of proxy-anchor compares distances instead, and counts a
    relevant image that ties with the K-th irrelevant one as found.

        >>> ranked = torch.tensor([[0.0, 1.0, 1.0], [0.0, 0.0, 1.0]])
        >>> recall_at_k(ranked, relevant=torch.tensor([2, 1]), k=2)
        tensor([1., 0.], dtype=torch.float64)

    Args:
        ranked_relevance: R_ij of the j-th nearest of query i; more than 0 is relevant.
        relevant: How many relevant images the gallery holds for each query, itself not counted.
        k: K, how far to look; larger is easier.

    Returns:
        1 or 0 a query in float64; nan where the gallery holds nothing relevant.

    Raises:
        TypeError: The ranking is no tensor of real numbers, or `relevant` none of integers.
        ValueError: The ranking ends before K, or `relevant` is not one count a query.
    """
    check_counts(k=k)
    ranked, relevant = _checked(ranked_relevance, relevant)
    _check_ranked_to(ranked, k, f"recall@{k}")
    hit = (ranked[:, :k] > 0).any(1).double()
    return hit.masked_fill(relevant == 0, torch.nan)


def r_precision(ranked_relevance: Ranked, relevant: Int[Tensor, "n"]) -> Float[Tensor, "n"]:
    """Share of relevant images among the R nearest, R being all there are.

        R-precision_i = 1/R_i Σ_{j ≤ R_i} [R_ij > 0]

    Defined for metric learning as in Musgrave, Belongie, Lim: A Metric Learning Reality Check,
    ECCV 2020, arXiv 2003.08505.

        >>> ranked = torch.tensor([[0.0, 1.0, 1.0], [0.0, 0.0, 1.0]])
        >>> r_precision(ranked, relevant=torch.tensor([2, 1]))
        tensor([0.5000, 0.0000], dtype=torch.float64)

    Args:
        ranked_relevance: R_ij of the j-th nearest of query i; more than 0 is relevant.
        relevant: R_i, how many relevant images the gallery holds, the query itself not counted.

    Returns:
        0..1 a query in float64; nan where the gallery holds nothing relevant.

    Raises:
        TypeError: The ranking is no tensor of real numbers, or `relevant` none of integers.
        ValueError: The ranking ends before the largest R_i, or `relevant` is not one count a query.
    """
    hits = _hits_within_r(ranked_relevance, relevant, "R-precision")
    return hits.sum(1) / relevant.double()


def map_at_r(ranked_relevance: Ranked, relevant: Int[Tensor, "n"]) -> Float[Tensor, "n"]:
    """Mean average precision at R: R-precision that also minds the order.

        MAP@R_i = 1/R_i Σ_{j ≤ R_i} [R_ij > 0] P_i(j),    P_i(j) = 1/j Σ_{l ≤ j} [R_il > 0]

    Musgrave, Belongie, Lim: A Metric Learning Reality Check, ECCV 2020, arXiv 2003.08505. Called
    mean_average_precision_at_r in pytorch-metric-learning.

        >>> ranked = torch.tensor([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0]])
        >>> map_at_r(ranked, relevant=torch.tensor([2, 2]))
        tensor([0.2500, 0.5000], dtype=torch.float64)

    Args:
        ranked_relevance: R_ij of the j-th nearest of query i; more than 0 is relevant.
        relevant: R_i, how many relevant images the gallery holds, the query itself not counted.

    Returns:
        0..1 a query in float64; nan where the gallery holds nothing relevant.

    Raises:
        TypeError: The ranking is no tensor of real numbers, or `relevant` none of integers.
        ValueError: The ranking ends before the largest R_i, or `relevant` is not one count a query.
    """
    hits = _hits_within_r(ranked_relevance, relevant, "MAP@R")
    return (_precision(hits) * hits).sum(1) / relevant.double()


def precision_at_k(
    ranked_relevance: Ranked, relevant: Int[Tensor, "n"], k: int
) -> Float[Tensor, "n"]:
    """Share of relevant images among the k nearest.

        P@K_i = 1/K Σ_{j ≤ K} [R_ij > 0]

    Always over K, also for a query with fewer relevant images: the evaluation of the revisited
    Oxford and Paris buildings ends K at the last relevant image instead.

        >>> ranked = torch.tensor([[0.0, 1.0, 1.0], [0.0, 0.0, 1.0]])
        >>> precision_at_k(ranked, relevant=torch.tensor([2, 1]), k=2)
        tensor([0.5000, 0.0000], dtype=torch.float64)

    Args:
        ranked_relevance: R_ij of the j-th nearest of query i; more than 0 is relevant.
        relevant: How many relevant images the gallery holds for each query, itself not counted.
        k: K, how far to look.

    Returns:
        0..1 a query in float64; nan where the gallery holds nothing relevant.

    Raises:
        TypeError: The ranking is no tensor of real numbers, or `relevant` none of integers.
        ValueError: The ranking ends before K, or `relevant` is not one count a query.
    """
    check_counts(k=k)
    ranked, relevant = _checked(ranked_relevance, relevant)
    _check_ranked_to(ranked, k, f"precision@{k}")
    share = (ranked[:, :k] > 0).sum(1).double() / k
    return share.masked_fill(relevant == 0, torch.nan)


def average_precision_at_k(
    ranked_relevance: Ranked, relevant: Int[Tensor, "n"], k: int | None = None
) -> Float[Tensor, "n"]:
    """Average precision of the k nearest; of the whole ranking by default.

        AP@K_i = 1/min(K, R_i) Σ_{j ≤ K} [R_ij > 0] P_i(j),    P_i(j) = 1/j Σ_{l ≤ j} [R_il > 0]

    Its mean over queries is mAP@K: with K = 100 the score of Google Landmarks v2 (Weyand et al.,
    CVPR 2020, arXiv 2004.01804), for the whole ranking the mAP of re-identification, as its Python
    evaluators take it and scikit-learn does. `trapezoid_average_precision` is the other rule.

        >>> ranked = torch.tensor([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0]])
        >>> average_precision_at_k(ranked, relevant=torch.tensor([2, 2]))
        tensor([0.5833, 0.8333], dtype=torch.float64)

    Args:
        ranked_relevance: R_ij of the j-th nearest of query i; more than 0 is relevant. What a
            ranking that ends early does not hold was not found.
        relevant: R_i, how many relevant images the gallery holds, the query itself not counted.
        k: K, how far to look; None: to the end.

    Returns:
        0..1 a query in float64; nan where the gallery holds nothing relevant.

    Raises:
        TypeError: The ranking is no tensor of real numbers, or `relevant` none of integers.
        ValueError: The ranking ends before K, or `relevant` is not one count a query.
    """
    ranked, relevant = _checked(ranked_relevance, relevant)
    if k is not None:
        check_counts(k=k)
        _check_ranked_to(ranked, k, f"map@{k}")
        ranked = ranked[:, :k]
    hits = ranked > 0
    within = relevant if k is None else relevant.clamp(max=k)
    return (_precision(hits) * hits).sum(1) / within.double()


def trapezoid_average_precision(
    ranked_relevance: Ranked, relevant: Int[Tensor, "n"]
) -> Float[Tensor, "n"]:
    """Average precision as the area under line segments between the points of (recall, precision).

        AP_i = 1/R_i Σ_j [R_ij > 0] (P_i(j − 1) + P_i(j)) / 2,    P_i(0) = 1

    This is the rule of the Oxford buildings (Philbin et al., CVPR 2007), of their revision
    (Radenović et al., CVPR 2018, arXiv 1803.11285) and of Market-1501 (Zheng et al., ICCV 2015).

        >>> ranked = torch.tensor([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0]])
        >>> trapezoid_average_precision(ranked, relevant=torch.tensor([2, 2]))
        tensor([0.4167, 0.7917], dtype=torch.float64)

    Args:
        ranked_relevance: R_ij of the j-th nearest of query i; more than 0 is relevant. What a
            ranking that ends early does not hold was not found.
        relevant: R_i, how many relevant images the gallery holds, the query itself not counted.

    Returns:
        0..1 a query in float64; nan where the gallery holds nothing relevant.

    Raises:
        TypeError: The ranking is no tensor of real numbers, or `relevant` none of integers.
        ValueError: `relevant` is not one count a query.
    """
    ranked, relevant = _checked(ranked_relevance, relevant)
    hits = ranked > 0
    precision = _precision(hits)
    before = torch.cat([torch.ones_like(precision[:, :1]), precision[:, :-1]], 1)[
        :, : hits.shape[1]
    ]
    return ((before + precision) / 2 * hits).sum(1) / relevant.double()


def reciprocal_rank(ranked_relevance: Ranked, relevant: Int[Tensor, "n"]) -> Float[Tensor, "n"]:
    """One over the rank of the first relevant image; its mean over queries is the MRR.

        >>> ranked = torch.tensor([[0.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
        >>> reciprocal_rank(ranked, relevant=torch.tensor([2, 1]))
        tensor([0.5000, 0.0000], dtype=torch.float64)

    Args:
        ranked_relevance: R_ij of the j-th nearest of query i; more than 0 is relevant.
        relevant: How many relevant images the gallery holds for each query, itself not counted.

    Returns:
        0..1 a query in float64, 0 where the ranking holds nothing relevant; nan where the gallery
        does not.

    Raises:
        TypeError: The ranking is no tensor of real numbers, or `relevant` none of integers.
        ValueError: `relevant` is not one count a query.
    """
    ranked, relevant = _checked(ranked_relevance, relevant)
    hits = ranked > 0
    rank = torch.arange(1, hits.shape[1] + 1, device=hits.device).double()
    first = torch.where(hits, 1 / rank, 0).amax(1) if hits.shape[1] else hits.sum(1).double()
    return first.masked_fill(relevant == 0, torch.nan)


def inverse_negative_penalty(
    ranked_relevance: Ranked, relevant: Int[Tensor, "n"]
) -> Float[Tensor, "n"]:
    """How few wrong images stand before the last relevant one; its mean over queries is the mINP.

        INP_i = R_i / rank of the last relevant image

    Ye et al.: Deep Learning for Person Re-identification: A Survey and Outlook, TPAMI 2021, arXiv
    2001.04193.

        >>> ranked = torch.tensor([[0.0, 1.0, 0.0, 1.0], [1.0, 0.0, 0.0, 0.0]])
        >>> inverse_negative_penalty(ranked, relevant=torch.tensor([2, 1]))
        tensor([0.5000, 1.0000], dtype=torch.float64)

    Args:
        ranked_relevance: R_ij of the j-th nearest of query i; more than 0 is relevant.
        relevant: R_i, how many relevant images the gallery holds, the query itself not counted.

    Returns:
        0..1 a query in float64, 0 where the ranking ends before the last; nan where the gallery
        holds nothing relevant.

    Raises:
        TypeError: The ranking is no tensor of real numbers, or `relevant` none of integers.
        ValueError: `relevant` is not one count a query.
    """
    ranked, relevant = _checked(ranked_relevance, relevant)
    hits = ranked > 0
    rank = torch.arange(1, hits.shape[1] + 1, device=hits.device)
    last = (hits * rank).amax(1) if hits.shape[1] else hits.sum(1)
    whole = (hits.sum(1) == relevant) & (relevant > 0)
    penalty = torch.where(whole, relevant / last.clamp(min=1).double(), 0)
    return penalty.masked_fill(relevant == 0, torch.nan)


def ndcg_at_k(
    ranked_relevance: Ranked, ideal_relevance: Float[Tensor, "n l"], k: int
) -> Float[Tensor, "n"]:
    """Discounted gain of the k nearest over that of the best k; relevance itself is the gain.

        nDCG@K_i = Σ_{j ≤ K} R_ij / log₂(j + 1) / the same of the largest R

    Järvelin, Kekäläinen: Cumulated gain-based evaluation of IR techniques, TOIS 2002. Some take
    2^R − 1 for the gain: the same where relevance is 0 or 1.

        >>> ranked, ideal = torch.tensor([[0.5, 1.0]]), torch.tensor([[1.0, 0.5]])
        >>> ndcg_at_k(ranked, ideal, k=2)
        tensor([0.8597], dtype=torch.float64)

    Args:
        ranked_relevance: R_ij of the j-th nearest of query i; below 0 counts as 0.
        ideal_relevance: The largest relevances of each query, descending, 0 past the last.
        k: K, how far to look.

    Returns:
        0..1 a query in float64; nan where nothing is relevant.

    Raises:
        TypeError: A ranking is no tensor of real numbers, or K no whole number.
        ValueError: A ranking ends before K, or they are not of the same queries.
    """
    check_counts(k=k)
    gained, best = (
        real_matrix(of, "a ranking").double() for of in (ranked_relevance, ideal_relevance)
    )
    if len(gained) != len(best):
        raise ValueError(
            f"rankings of {len(gained)} queries need as many ideal ones; got {len(best)}"
        )
    for ranking in (gained, best):
        _check_ranked_to(ranking, k, f"ndcg@{k}")
    discount = 1 / torch.arange(2, k + 2, dtype=torch.float64, device=gained.device).log2()
    return (gained[:, :k].clamp(min=0) @ discount) / (best[:, :k].clamp(min=0) @ discount)


def _precision(hits: Bool[Tensor, "n k"]) -> Float[Tensor, "n k"]:
    """Share of relevant images up to each rank."""
    rank = torch.arange(1, hits.shape[1] + 1, device=hits.device)
    return hits.cumsum(1) / rank.double()


def _checked(ranked_relevance: Tensor, relevant: Tensor) -> tuple[Tensor, Tensor]:
    ranked = real_matrix(ranked_relevance, "ranked_relevance")
    check_values_are_there(ranked_relevance=ranked, relevant=relevant)
    check_integers(relevant=relevant)
    if len(relevant) != len(ranked) or (relevant.long() < 0).any():
        raise ValueError(
            f"{len(ranked)} queries need as many counts of what is relevant, each 0 or more; got "
            f"{len(relevant)}, the least {int(relevant.long().min()) if len(relevant) else None}"
        )
    return ranked, relevant.long()


def _check_ranked_to(ranked_relevance: Tensor, k: int, score: str) -> None:
    if ranked_relevance.shape[1] < k:
        raise ValueError(
            f"{score} looks at {k} neighbours, the ranking holds {ranked_relevance.shape[1]}"
        )


def _hits_within_r(ranked_relevance: Tensor, relevant: Tensor, score: str) -> Bool[Tensor, "n k"]:
    ranked, relevant = _checked(ranked_relevance, relevant)
    max_r = int(relevant.max()) if len(relevant) else 0
    _check_ranked_to(ranked, max_r, score)
    column = torch.arange(max_r, device=relevant.device)
    return (ranked[:, :max_r] > 0) & (column < relevant[:, None])
