"""Pure functions of ranked relevance, and clustering."""

from ranklight.metrics.agreement import adjusted_mutual_information, normalized_mutual_information
from ranklight.metrics.answers import ClassAnswers, GradedAnswers, ListedAnswers
from ranklight.metrics.by_class import ClassMeans, average_by_class
from ranklight.metrics.clustering import Clusters, evaluate_clustering, kmeans, kmeans_plusplus
from ranklight.metrics.each_image_once import EachImageOnce
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
from ranklight.metrics.ranked import (
    average_precision_at_k,
    inverse_negative_penalty,
    map_at_r,
    ndcg_at_k,
    precision_at_k,
    r_precision,
    recall_at_k,
    reciprocal_rank,
    trapezoid_average_precision,
)
from ranklight.metrics.retrieval import (
    Scoring,
    average_retrieval,
    evaluate_retrieval,
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

__all__ = [
    "ClassAnswers",
    "ClassMeans",
    "Clusters",
    "EachImageOnce",
    "GradedAnswers",
    "LabelDistanceScores",
    "LabelRankingScores",
    "LabelSetCounts",
    "LabelSetScores",
    "ListedAnswers",
    "Scoring",
    "TripletScores",
    "adjusted_mutual_information",
    "average_by_class",
    "average_label_distances",
    "average_precision",
    "average_precision_at_k",
    "average_rank_correlation",
    "average_retrieval",
    "average_triplets",
    "closeness_ndcg_at_k",
    "count_label_sets",
    "coverage",
    "evaluate_clustering",
    "evaluate_label_distances",
    "evaluate_label_sets",
    "evaluate_rank_correlation",
    "evaluate_retrieval",
    "evaluate_triplets",
    "example_average_precision",
    "inverse_negative_penalty",
    "kmeans",
    "kmeans_plusplus",
    "label_distance_at_k",
    "label_ranking_average_precision",
    "map_at_r",
    "ndcg_at_k",
    "normalized_mutual_information",
    "pair_violations",
    "precision_at_k",
    "r_precision",
    "rank_correlation",
    "ranking_loss",
    "read_triplets",
    "recall_at_k",
    "reciprocal_rank",
    "score_label_distances",
    "score_rank_correlation",
    "score_retrieval",
    "score_triplets",
    "similarity_precision",
    "trapezoid_average_precision",
    "triplet_score_at_k",
]
