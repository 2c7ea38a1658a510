"""Train and evaluate models that rank images."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ranklight.serving.trained_model import load as load

__version__ = "0.2.0"


def __getattr__(name: str) -> Any:
    """`load`, which brings torch with it, when it is asked for."""
    if name == "load":
        from ranklight.serving.trained_model import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
