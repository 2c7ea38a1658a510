"""Nearest neighbours: exact, approximate, and over ranks."""

from ranklight.search.approximate import ApproximateSearch, index_recall
from ranklight.search.blocked import BlockedSearch
from ranklight.search.embedded import Embedded
from ranklight.search.exact import ExactSearch
from ranklight.search.neighbours import nearest, neighbour_lists
from ranklight.search.order import squared_distance
from ranklight.search.shards import Shards, shard

__all__ = [
    "ApproximateSearch",
    "BlockedSearch",
    "Embedded",
    "ExactSearch",
    "Shards",
    "index_recall",
    "nearest",
    "neighbour_lists",
    "shard",
    "squared_distance",
]
