"""Nearest neighbours: exact, approximate, and over ranks."""

from ranklight.search.approximate import ApproximateSearch, index_recall
from ranklight.search.exact import ExactSearch, nearest, squared_distance
from ranklight.search.sharded import ShardedSearch
from ranklight.search.shards import Shards, shard

__all__ = [
    "ApproximateSearch",
    "ExactSearch",
    "ShardedSearch",
    "Shards",
    "index_recall",
    "nearest",
    "shard",
    "squared_distance",
]
