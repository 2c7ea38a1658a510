"""How a sheet says how relevant a picture is: by a frame, or in words."""

from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from ranklight.callbacks.pictures.figures import RIGHT, WRONG

_PALE, _DARK = "#b8e3b0", "#00441b"
_SLIGHTEST = 1e-6


@runtime_checkable
class Mark(Protocol):
    """From the relevance of a picture to what its frame and its words are."""

    def frame(self, relevance: float) -> Any:
        """A colour, None for no frame."""

    def words(self, relevance: float) -> str:
        """A line beneath the picture, empty for none."""

    def explain(self, figure: Any) -> None:
        """Add to a figure what its frames mean, where that has to be said."""


class RightOrWrong:
    """Relevant is green, the rest red."""

    def frame(self, relevance: float) -> Any:
        """Green or red."""
        return RIGHT if relevance > 0 else WRONG

    def words(self, relevance: float) -> str:
        """None: the frame says it."""
        return ""

    def explain(self, figure: Any) -> None:
        """None."""


class Shade:
    """Graded relevance of 0..1: the more relevant, the darker green; red where not at all."""

    def __init__(self) -> None:
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import LinearSegmentedColormap, Normalize

        greens = LinearSegmentedColormap.from_list("relevance", [_PALE, _DARK])
        scale = Normalize(_SLIGHTEST, 1)
        self.colours: Any = ScalarMappable(scale, greens.with_extremes(under=WRONG))

    def frame(self, relevance: float) -> Any:
        """A green as dark as it is relevant."""
        return self.colours.to_rgba(relevance)

    def words(self, relevance: float) -> str:
        """The relevance."""
        return f"relevance {relevance:.2f}"

    def explain(self, figure: Any) -> None:
        """A bar of the shades."""
        axes = figure.axes
        bar = figure.colorbar(self.colours, ax=axes, extend="min", aspect=40, pad=0.01)
        bar.set_label("relevance; red: none", fontsize=8)
        bar.ax.tick_params(labelsize=7)


class LabelDistance:
    """Labels that are near or far: how far stands beneath."""

    def frame(self, relevance: float) -> Any:
        """None: nothing is right or wrong."""
        return None

    def words(self, relevance: float) -> str:
        """The distance of the labels, in their units."""
        return f"label distance {1 - relevance:.2f}"

    def explain(self, figure: Any) -> None:
        """None."""


def mark_for(relevance: Float[Tensor, "q m"]) -> Mark:
    """The mark that suits relevance: of 1 or 0, of 0..1, or of label distances beyond 1."""
    if ((relevance == 0) | (relevance == 1)).all():
        return RightOrWrong()
    return LabelDistance() if relevance.min() < 0 else Shade()
