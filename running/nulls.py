"""`null` in a configuration: None where a part takes it, else refused."""

import types
from importlib import import_module
from typing import Any, Union, get_args, get_origin, get_type_hints

from jsonargparse import Namespace

_NO_KEYS = ("args", "kwargs", "options", "return")


def read_nulls(tree: Any, path: str = "") -> None:
    """Make None of the text that jsonargparse makes of it two levels deep; refuse it elsewhere.

    Args:
        tree: A configuration, of which every part with a `class_path` is looked at; changed.
        path: Of the tree in the whole.

    Raises:
        ValueError: A parameter is null and cannot be; names it and says what it takes.
    """
    if isinstance(tree, list):
        for place, part in enumerate(tree):
            read_nulls(part, f"{path}[{place}]")
    if not isinstance(tree, dict | Namespace):
        return
    given = tree.get("init_args")
    if "class_path" in tree and isinstance(given, dict | Namespace):
        _read_arguments(str(tree["class_path"]), given, path)
    items = tree.items() if isinstance(tree, dict) else vars(tree).items()
    for key, part in list(items):
        read_nulls(part, f"{path}.{key}".removeprefix("."))


def _read_arguments(class_path: str, given: Any, path: str) -> None:
    hints = parameters_of(class_path)
    items = given.items() if isinstance(given, dict) else vars(given).items()
    for key, value in list(items):
        if key not in hints or value not in (None, "None"):
            continue
        if _takes(hints[key], type(None)):
            given[key] = None
        elif value is None or not _takes(hints[key], str):
            kind = getattr(hints[key], "__name__", str(hints[key]))
            raise ValueError(f"{path}.init_args.{key} must be {kind}, got null")


def parameters_of(class_path: str) -> dict[str, Any]:
    """The annotations of all parameters that a class takes; none where they cannot be read."""
    module, _, name = class_path.rpartition(".")
    hints: dict[str, Any] = {}
    try:
        kind = getattr(import_module(module), name)
        for base in reversed(getattr(kind, "__mro__", ())):
            if "__init__" in vars(base) and base is not object:
                defaults = _defaults(base.__init__)
                own = get_type_hints(base.__init__)
                # `x: int = None` takes None, whatever it says.
                hints |= {
                    key: hint if defaults.get(key, 0) is not None else hint | None
                    for key, hint in own.items()
                }
    except Exception:
        return {}
    return {name: hint for name, hint in hints.items() if name not in _NO_KEYS}


def _defaults(function: Any) -> dict[str, Any]:
    code = function.__code__
    names = code.co_varnames[: code.co_argcount]
    given = function.__defaults__ or ()
    return dict(zip(names[len(names) - len(given) :], given, strict=True))


def _takes(hint: Any, kind: type) -> bool:
    if get_origin(hint) in (Union, types.UnionType):
        return any(_takes(part, kind) for part in get_args(hint))
    return hint in (Any, object, kind) or (kind is str and str(hint).startswith("typing.Literal"))
