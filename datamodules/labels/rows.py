"""Labels of rows, whatever their kind."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int, Shaped
from numpy.typing import NDArray
from torch import Tensor

from ranklight.datamodules.samplers.pair_relevance import OfPairs


class RowLabels(NamedTuple):
    """What is known of each row.

    Args:
        values: What a batch holds, one entry a row.
        class_names: The name of each class index, or of each column of a multi-hot label.
        classes: The class of each row; None where a row has no class, or several.
        of_pairs: Relevance of pairs of rows; None where it is not graded.
        levels: Further classes of each row by name, such as the super-class.
    """

    values: Shaped[Tensor, "rows ..."]
    class_names: tuple[str, ...] = ()
    classes: Int[np.ndarray, "rows"] | None = None
    of_pairs: OfPairs | None = None
    levels: Mapping[str, Int[np.ndarray, "rows"]] = MappingProxyType({})

    def of(self, rows: NDArray[np.int64]) -> "RowLabels":
        """The labels of some rows."""
        of_all = self.of_pairs
        return self._replace(
            values=self.values[torch.from_numpy(rows)],
            classes=None if self.classes is None else self.classes[rows],
            of_pairs=None if of_all is None else lambda i, j: of_all(rows[i], rows[j]),
            levels={name: classes[rows] for name, classes in self.levels.items()},
        )
