"""Packages that only some commands take."""

from importlib.util import find_spec


def check_installed(purpose: str, extra: str, *packages: str) -> None:
    """Refuse to begin without packages.

    Args:
        purpose: What needs them.
        extra: The extra of ranklight that brings them.
        packages: Their names.

    Raises:
        ImportError: One is not installed; says how to install it.
    """
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise ImportError(
            f"{purpose} needs {' and '.join(missing)}: pip install 'ranklight[{extra}]'"
        )
