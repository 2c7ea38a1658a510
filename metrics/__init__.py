"""Pure functions of ranked relevance, and clustering."""

from ranklight.metrics.agreement import adjusted_mutual_information, normalized_mutual_information
from ranklight.metrics.clustering import Clusters, evaluate_clustering, kmeans, kmeans_plusplus
from ranklight.metrics.each_image_once import EachImageOnce
from ranklight.metrics.identity_bootstrap import bootstrap_identities
from ranklight.metrics.label_distance import (
    LabelDistanceScores,
    average_label_distances,
    closeness_ndcg_at_k,
    evaluate_label_distances,
    label_distance_at_k,
    score_label_distances,
)
from ranklight.metrics.label_sets import (
    LabelSetCounts,
    LabelSetScores,
    count_label_sets,
    evaluate_label_sets,
)
from ranklight.metrics.multi_label import (
    LabelRankingScores,
    average_precision,
    coverage,
    example_average_precision,
    label_ranking_average_precision,
    pair_violations,
    ranking_loss,
)
from ranklight.metrics.pair_counts import (
    PairCounts,
    count_pairs,
    pair_distances,
    tally_distances,
)
from ranklight.metrics.retrieval import (
    QueryScores,
    average_retrieval,
    evaluate_retrieval,
    map_at_r,
    r_precision,
    recall_at_k,
    score_retrieval,
)
from ranklight.metrics.spearman import (
    average_rank_correlation,
    evaluate_rank_correlation,
    rank_correlation,
    score_rank_correlation,
)
from ranklight.metrics.triplets import (
    TripletScores,
    average_triplets,
    evaluate_triplets,
    read_triplets,
    score_triplets,
    similarity_precision,
    triplet_score_at_k,
)
from ranklight.metrics.verification import (
    Judgement,
    VerificationCurve,
    evaluate_verification,
    fit_threshold,
    fold_accuracy,
    judge_pairs,
    score_verification,
    verification_curve,
    wilson_interval,
)

__all__ = [
    "Clusters",
    "EachImageOnce",
    "Judgement",
    "LabelDistanceScores",
    "LabelRankingScores",
    "LabelSetCounts",
    "LabelSetScores",
    "PairCounts",
    "QueryScores",
    "TripletScores",
    "VerificationCurve",
    "adjusted_mutual_information",
    "average_label_distances",
    "average_precision",
    "average_rank_correlation",
    "average_retrieval",
    "average_triplets",
    "bootstrap_identities",
    "closeness_ndcg_at_k",
    "count_label_sets",
    "count_pairs",
    "coverage",
    "evaluate_clustering",
    "evaluate_label_distances",
    "evaluate_label_sets",
    "evaluate_rank_correlation",
    "evaluate_retrieval",
    "evaluate_triplets",
    "evaluate_verification",
    "example_average_precision",
    "fit_threshold",
    "fold_accuracy",
    "judge_pairs",
    "kmeans",
    "kmeans_plusplus",
    "label_distance_at_k",
    "label_ranking_average_precision",
    "map_at_r",
    "normalized_mutual_information",
    "pair_distances",
    "pair_violations",
    "r_precision",
    "rank_correlation",
    "ranking_loss",
    "read_triplets",
    "recall_at_k",
    "score_label_distances",
    "score_rank_correlation",
    "score_retrieval",
    "score_triplets",
    "score_verification",
    "similarity_precision",
    "tally_distances",
    "triplet_score_at_k",
    "verification_curve",
    "wilson_interval",
]
