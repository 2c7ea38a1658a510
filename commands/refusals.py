"""What jsonargparse says of a wrong key or value, as one sentence.

It tries every type that a key may have and tells, indented, why each did not fit. The reason that
helps is the one where it came furthest: below the most keys, within the class that was named.
"""

import re
from collections.abc import Iterator
from difflib import get_close_matches
from importlib import import_module
from typing import NamedTuple

from ranklight.running.nulls import parameters_of

_KEY = re.compile(r'Parser key "(?P<name>[^"]+)":?\s*')
_CLASS = re.compile(r"Problem with given class_path '(?P<name>[^']+)':?\s*")
# A class that is built later, with parameters that only the run has: of it the value tells.
_CALLABLE = re.compile(r"(?P<name>)Type .* expects a function or a callable class: ")
_HEADS = {"key": _KEY, "class": _CLASS, "callable": _CALLABLE}
_VALUE = re.compile(r"\.? ?(?:Got value|Given value): (?P<value>.*)$")
_NESTED = re.compile(r"NestedArg\(key='[^']*', val=(?P<value>.*)\)$")
_TELLS_NOTHING = re.compile(
    "$|Expected a path but|Does not validate|Subtypes:|Errors:|Given value type:"
)
_TYPE = re.compile(r"<class '(?:[\w.]*\.)?(\w+)'>")
_IN_YAML = {
    "Sequence": "a list",
    "list": "a list",
    "tuple": "a list",
    "tuple with 2 elements": "a list of 2",
    "dict": "keys and values",
    "dot import path string": "the path of a class",
}
_LONGEST_VALUE = 80


class _Reason(NamedTuple):
    """Why a type did not fit: below which keys and in which class it was tried, and the words."""

    keys: tuple[str, ...]
    classes: tuple[str, ...]
    words: str
    given: str


def sentence_of_parser(message: str) -> str:
    """One sentence; the message itself, in one line, where it is of another form."""
    reasons = list(_reasons(message))
    if not reasons:
        return " ".join(message.split())
    far = max(reasons, key=lambda reason: (len(reason.keys), len(reason.classes)))
    alike = [one for one in reasons if one[:2] == far[:2]]
    key, given = ".".join(far.keys), _got(far.given or _outermost(message))
    for one in alike:
        if sentence := _of_names(key, one):
            return sentence
    for one in alike:
        if found := re.search(r"Import path.* not correspond to a subclass of (\w+)", one.words):
            return f"{key} must be a {found[1]}{given}"
    kinds = [found[1] for one in alike if (found := re.match(r"Expected an? (.+)$", one.words))]
    if kinds:
        return f"{key} must be {' or '.join(dict.fromkeys(map(_kind, kinds)))}{given}"
    return f"{key}: {'; '.join(dict.fromkeys(one.words for one in alike))}{given}"


def _reasons(message: str) -> Iterator[_Reason]:
    """The reasons at the ends of the tree that indentation makes."""
    above: list[tuple[int, str, str]] = []
    for line in message.splitlines():
        indent = len(line) - len(line.lstrip(" -"))
        words = line.strip(" -")
        while above and above[-1][0] >= indent and words:
            above.pop()
        while heads := [(kind, m) for kind, head in _HEADS.items() if (m := head.match(words))]:
            kind, found = heads[0]
            above.append((indent, kind, found["name"]))
            words = words[found.end() :]
        value = _VALUE.search(words)
        words = _VALUE.sub("", words)
        if above and not _TELLS_NOTHING.match(words):
            keys = tuple(name for _, kind, name in above if kind == "key")
            classes = tuple(name for _, kind, name in above if kind != "key")
            yield _Reason(keys, classes, words, value["value"] if value else "")


def _of_names(key: str, reason: _Reason) -> str | None:
    """Of a key that a class does not take, or lacks, or of a class that is not there."""
    named = re.search(r"class_path='([^']+)'", reason.given)
    path = named[1] if named else next(iter(reason.classes[::-1]), "")
    owner = f"{path.rpartition('.')[2]} ({key})" if path else key
    unknown = r"Option '([^']+)' is not accepted|unrecognized arguments: --(\w+)"
    if path and (found := re.search(unknown, reason.words)):
        name = found[1] or found[2]
        return f"{owner} takes no {name!r}; {_near(name, list(parameters_of(path)))}"
    if found := re.search(r"arguments are required: (.*)", reason.words):
        return f"{owner} needs {found[1]}"
    if found := re.search(r"module '([^']+)' has no attribute '([^']+)'", reason.words):
        module, name = found.groups()
        known = [each for each, kind in vars(import_module(module)).items() if type(kind) is type]
        return f"{key}: {module} has no {name!r}; {_near(name, known)}"
    return None


def _outermost(message: str) -> str:
    """The value as the user wrote it."""
    found = [match["value"] for line in message.splitlines() if (match := _VALUE.search(line))]
    value = found[-1] if found else ""
    nested = _NESTED.match(value)
    return nested["value"] if nested else value


def _got(value: str) -> str:
    value = "null" if value == "None" else value.strip("'")
    return f", got {value}" if 0 < len(value) <= _LONGEST_VALUE else ""


def _near(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, cutoff=0.5)
    return f"near it: {', '.join(near)}" if near else f"it has {', '.join(sorted(known))}"


def _kind(words: str) -> str:
    words = "dot import path string" if words.startswith("dot import path") else words
    plain = _TYPE.sub(r"\1", words).replace("typing.Literal", "one of ")
    return _IN_YAML.get(plain, plain.replace("NoneType", "null"))
