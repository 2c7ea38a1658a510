"""What is done to embeddings, or to the lists that they give, between the encoder and the score."""

from ranklight.search.after.alpha_expansion import AlphaQueryExpansion
from ranklight.search.after.chain import Chain
from ranklight.search.after.database_augmentation import DatabaseAugmentation
from ranklight.search.after.k_reciprocal import KReciprocal
from ranklight.search.after.pca_whitening import PcaWhitening
from ranklight.search.after.step import Retrieval, Step

__all__ = [
    "AlphaQueryExpansion",
    "Chain",
    "DatabaseAugmentation",
    "KReciprocal",
    "PcaWhitening",
    "Retrieval",
    "Step",
]
