"""Batches in which each image is seen more than once."""

from ranklight.datamodules.batches import Batches
from ranklight.datamodules.labels.rows import RowLabels
from ranklight.datamodules.samplers import SeveralViews


class ViewBatches(Batches):
    """The images of other batches in several views, each augmented anew; see `SeveralViews`.

    Args:
        batches: How images are drawn; a batch is `views` times as large.
        views: Of each image.
    """

    def __init__(self, batches: Batches, views: int = 2) -> None:
        self.batches = batches
        self.views = views

    def sampler(self, labels: RowLabels, seed: int) -> SeveralViews:
        """Batches of views.

        Raises:
            ValueError: What the other batches refuse, or fewer than 1 view.
        """
        drawn = self.batches.sampler(labels, seed)
        return SeveralViews(drawn, len(labels.values), self.views)
