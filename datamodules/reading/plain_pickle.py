"""Pickled lists, dicts and NumPy arrays, read without executing what the file says."""

import codecs
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_PACKAGES = ("numpy.core.multiarray", "numpy._core.multiarray")


def read_plain_pickle(path: str | Path) -> Any:
    """What a pickle file holds: lists, tuples, dicts, numbers, strings and NumPy arrays.

    A pickle is a program: it may name any function of any module and have it called. Here only what
    NumPy needs to build arrays of numbers is known, so that a file from elsewhere can do nothing
    else. Files of Python 2 are read, too.

    Raises:
        ValueError: The file wants anything else, or is no pickle; names the file.
    """
    with Path(path).open("rb") as file:
        try:
            return _Plain(file, encoding="latin1").load()
        except (pickle.UnpicklingError, EOFError, AttributeError, IndexError, KeyError) as error:
            raise ValueError(
                f"{path} is not a pickle of plain lists and arrays: {error}"
            ) from error


class _Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Only what builds arrays of numbers."""
        known: dict[tuple[str, str], Any] = {
            ("numpy", "ndarray"): np.ndarray,
            ("numpy", "dtype"): _numbers,
            ("_codecs", "encode"): _latin1,
            **{(package, "_reconstruct"): _empty_array for package in _PACKAGES},
            **{(package, "scalar"): _scalar for package in _PACKAGES},
        }
        if (module, name) not in known:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return known[module, name]


def _numbers(code: str, *options: Any) -> np.dtype[Any]:
    dtype = np.dtype(code)
    if dtype.kind not in "biuf":
        raise pickle.UnpicklingError(f"it holds an array of {code}, which is not of numbers")
    return dtype


def _empty_array(kind: Callable[..., Any], shape: Any, code: Any) -> NDArray[np.int8]:
    return np.ndarray((0,), np.int8)


def _scalar(dtype: np.dtype[Any], content: Any) -> Any:
    return np.frombuffer(_latin1(content), dtype)[0]


def _latin1(content: str | bytes, encoding: str = "latin1") -> bytes:
    if isinstance(content, bytes):
        return content
    return codecs.encode(content, "latin1")
