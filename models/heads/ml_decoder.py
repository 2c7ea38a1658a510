"""Queries that look for their classes in the feature map."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ranklight.kernels.checks import check_counts, check_share


class MLDecoder(nn.Module):
    """Each class's logit is read off a query that attends to the places of the feature map.

        X = ReLU(W_x · map),   q = norm(2 · query),   h = norm(q + Attention(q, X, X)),
        z = norm(h + W_2 ReLU(W_1 h)),   S_k = w_k · z_g(k) + b_k

    Query g answers for the classes g·m .. g·m + m − 1, of which there are m = ⌈classes / queries⌉.
    Ridnik, Sharir, Ben-Cohen, Ben-Baruch, Noy: ML-Decoder: Scalable and Versatile Classification
    Head, WACV 2023, arXiv 2111.12933. As there: one decoder layer without attention among the
    queries, queries that do not learn, 768 dimensions, 8 heads, 2,048 hidden, dropout 0.1, up to
    100 queries. With as many queries as classes, that learn, and two layers it would be Query2Label
    (Liu et al., arXiv 2107.10834). The same numbers as `timm.layers.ml_decoder.MLDecoder`, which
    the tests compare, but all classes of all queries in one product.

    Wants an encoder that gives maps: `models.FeatureMap`.

    Args:
        queries: At most; no more than there are classes. Fewer make classes share one, which the
            paper needs above some hundred classes.
        width: Dimensions of queries and attention.
        heads: Of the attention.
        hidden: Width of the feed-forward layer.
        dropout: In attention, feed-forward layer and residuals.

    Raises:
        TypeError: A setting is no number.
        ValueError: The width is no multiple of the heads, a size is below 1, or dropout is not 0 to
            below 1.

    Example:
        >>> head = MLDecoder(width=32, hidden=64)
        >>> head.complete(num_classes=5, num_features=8)
        >>> head(torch.zeros(2, 8, 7, 7)).shape
        torch.Size([2, 5])
    """

    query: Tensor

    def __init__(
        self,
        queries: int = 100,
        width: int = 768,
        heads: int = 8,
        hidden: int = 2048,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        check_counts(queries=queries, width=width, heads=heads, hidden=hidden)
        check_share(dropout=dropout)
        if width % heads:
            raise ValueError(f"width must be a multiple of heads, got {width} and {heads}")
        self.queries = queries
        self.width = width
        self.attention = nn.MultiheadAttention(width, heads, dropout=dropout, batch_first=True)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, width)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.dropout = nn.Dropout(dropout)

    def complete(self, num_classes: int, num_features: int) -> None:
        """Draw queries and what reads them, now that classes and features are known."""
        queries = min(self.queries, num_classes)
        self.num_classes = num_classes
        self.classes_per_query = -(-num_classes // queries)
        self.places = nn.Linear(num_features, self.width)
        self.register_buffer("query", torch.randn(queries, self.width))
        self.weight = nn.Parameter(torch.empty(queries, self.width, self.classes_per_query))
        self.bias = nn.Parameter(torch.zeros(num_classes))
        nn.init.xavier_normal_(self.weight)

    def forward(self, maps: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """One logit a class."""
        places = F.relu(self.places(maps.flatten(2).transpose(1, 2)))
        # Without attention among queries its residual alone is left, with dropout of one side.
        query = self.query.expand(len(maps), -1, -1)
        query = self.norms[0](query + self.dropout(query))
        found = self.attention(query, places, places, need_weights=False)[0]
        found = self.norms[1](query + self.dropout(found))
        found = self.norms[2](found + self.dropout(self.feed_forward(found)))
        logits = torch.einsum("nqd,qdm->nqm", found, self.weight).flatten(1)
        return logits[:, : self.num_classes] + self.bias
