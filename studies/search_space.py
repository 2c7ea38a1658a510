"""What a search varies: arms, and ranges for keys of their YAML."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from ranklight.files.text import read_text_file

_KEY = re.compile(r"[A-Za-z_]\w*(\.\w+)*")
_NAME = re.compile(r"[\w.-]+")
# What the search itself sets, or what belongs to one command.
RESERVED = (
    "best.mode",
    "best.monitor",
    "ckpt_path",
    "config",
    "data.init_args.fold",
    "data.init_args.seed",
    "data.init_args.split_seed",
    "experiment",
    "run",
    "runs",
    "seed_everything",
    "test_after_fit",
)


class Between(NamedTuple):
    """Numbers from `low` to `high`, both included; whole numbers where both are.

    Args:
        low: The smallest.
        high: The largest.
        log: Draw the logarithm evenly, as for a learning rate.
        step: Only low, low + step, low + 2 step, ...
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None

    def draw(self, trial: Any, key: str) -> Any:
        """A value of an Optuna trial."""
        if all(isinstance(number, int) for number in (self.low, self.high, self.step or 1)):
            return trial.suggest_int(key, self.low, self.high, step=self.step or 1, log=self.log)
        return trial.suggest_float(key, self.low, self.high, step=self.step, log=self.log)

    def probes(self) -> Sequence[Any]:
        """Values that stand for all when the configuration is checked."""
        return self.low, self.high


class OneOf(NamedTuple):
    """Some values without an order: anything that YAML can say."""

    values: tuple[Any, ...]

    def draw(self, trial: Any, key: str) -> Any:
        """A value of an Optuna trial, which takes text."""
        return json.loads(trial.suggest_categorical(key, [*map(json.dumps, self.values)]))

    def probes(self) -> Sequence[Any]:
        """All."""
        return self.values


Range = Between | OneOf


class _Loader(yaml.SafeLoader):
    """Refuses a key that is there twice, of which YAML would keep the last."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        if twice := [key for key in keys if keys.count(key) > 1]:
            raise yaml.constructor.ConstructorError(
                problem=f"the key {twice[0]} is there twice", problem_mark=node.start_mark
            )
        return super().construct_mapping(node, deep)


class Arm(NamedTuple):
    """One of the methods that are compared, each with a budget of its own.

    Args:
        name: In tables and in paths.
        configs: YAML files over the base, the later wins.
        values: Keys that are set to a value.
        ranges: Keys that are searched.
    """

    name: str
    configs: tuple[str, ...]
    values: Mapping[str, Any]
    ranges: Mapping[str, Range]


def read_space(file: Path) -> list[Arm]:
    """The arms of a file of YAML; without `arms` there is one, `all`.

    ```yaml
    space:   # of every arm
      model.init_args.optimizer.init_args.lr: {low: 1.0e-4, high: 1.0e-2, log: true}
      data.init_args.samples_per_class: {low: 2, high: 8, step: 2}
    arms:
      contrastive:
        config: experiments/mine/contrastive.yaml   # over the base: one file, or a list
        values: {model.init_args.encoder.init_args.embedding_dim: 128}
        space:
          model.init_args.objective.init_args.loss.init_args.margin: {choices: [0.25, 0.5]}
    ```

    Args:
        file: The file.

    Raises:
        FileNotFoundError: It is not there.
        ValueError: It is no such YAML, or a range is empty or of a key that the search sets itself;
            names the key.
    """
    try:
        content = yaml.load(read_text_file(file, "space"), _Loader)
    except yaml.YAMLError as error:
        raise ValueError(f"{file} is not YAML: {' '.join(str(error).split())}") from error
    content = _mapping(content, f"{file}", ("space", "arms"))
    shared = _ranges(content.get("space"), f"{file}: space")
    arms = _mapping(content.get("arms", {"all": {}}), f"{file}: arms")
    found = [_arm(str(name), of, shared, f"{file}: arm {name}") for name, of in arms.items()]
    if not found or not any(arm.ranges for arm in found):
        raise ValueError(
            f"{file} must give a range to search under space or in an arm; it has none"
        )
    return found


def _arm(name: str, content: Any, shared: Mapping[str, Range], where: str) -> Arm:
    if not _NAME.fullmatch(name) or name.startswith("."):
        raise ValueError(f"{where} must be named by letters, digits, _, - and dots")
    content = _mapping(content, where, ("config", "values", "space"))
    configs = content.get("config", [])
    configs = [configs] if isinstance(configs, str) else configs
    if not isinstance(configs, list) or not all(isinstance(each, str) for each in configs):
        raise ValueError(f"{where}: config must be a file or a list of files; got {configs!r}")
    values = _mapping(content.get("values", {}), f"{where}: values")
    for key, value in values.items():
        _check_key(key, where)
        _as_json(value, f"{where}: {key}")
    ranges = {**shared, **_ranges(content.get("space"), where)}
    if both := sorted(values.keys() & ranges.keys()):
        raise ValueError(f"{where}: {both[0]} has a value and a range; leave out one")
    return Arm(name, tuple(configs), values, ranges)


def _ranges(content: Any, where: str) -> dict[str, Range]:
    content = _mapping({} if content is None else content, where)
    for key in content:
        _check_key(key, where)
    return {key: _range(of, f"{where}: {key}") for key, of in content.items()}


def _range(content: Any, where: str) -> Range:
    if isinstance(content, dict) and "choices" in content:
        values = _mapping(content, where, ("choices",))["choices"]
        if not isinstance(values, list) or not values:
            raise ValueError(
                f"{where}: choices must be a list of one value or more; got {values!r}"
            )
        _check_choices(values, where)
        return OneOf(tuple(values))
    content = _mapping(content, where, ("low", "high", "log", "step"))
    if not {"low", "high"} <= content.keys():
        raise ValueError(f"{where} must have low and high, or choices; it has {[*content]}")
    found = Between(**content)
    _check_between(found, where)
    return found


def _check_choices(values: Sequence[Any], where: str) -> None:
    written = [_as_json(value, f"{where}: choices") for value in values]
    for place, words in enumerate(written):
        if words in written[:place]:
            raise ValueError(f"{where}: choices has {words} twice; leave out one")


def _as_json(value: Any, where: str) -> str:
    """A value as the command line takes it; YAML has dates, too."""
    try:
        return json.dumps(value)
    except TypeError as error:
        raise ValueError(
            f"{where} must be text, numbers, true, false, null, or lists and keys of these; got "
            f"{value!r} (text that YAML takes for something else needs quotation marks)"
        ) from error


def _check_between(found: Between, where: str) -> None:
    for name in ("low", "high", "step"):
        value = getattr(found, name)
        if isinstance(value, bool) or not isinstance(value, int | float | None):
            hint = " (YAML takes 1e-4 for text: write 1.0e-4)" if isinstance(value, str) else ""
            raise ValueError(f"{where}: {name} must be a number; got {value!r}{hint}")
        if value is not None and not math.isfinite(value):
            raise ValueError(f"{where}: {name} must be a finite number; got {value}")
    if not found.low < found.high:
        raise ValueError(f"{where} is empty: low {found.low} must be below high {found.high}")
    if not isinstance(found.log, bool):
        raise ValueError(f"{where}: log must be true or false; got {found.log!r}")
    if found.log and (found.low <= 0 or found.step is not None):
        raise ValueError(f"{where}: with log, low must be above 0 and there is no step")
    if found.step is not None and not 0 < found.step <= found.high - found.low:
        raise ValueError(f"{where}: step must be above 0 and at most high - low; got {found.step}")


def _check_key(key: Any, where: str) -> None:
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise ValueError(f"{where}: a key is dotted as on the command line; got {key!r}")
    if key in RESERVED:
        raise ValueError(f"{where}: {key} is set by the study itself: leave it out")


def _mapping(content: Any, where: str, known: Sequence[str] | None = None) -> dict[Any, Any]:
    """A mapping, with known keys alone."""
    if not isinstance(content, dict):
        raise ValueError(f"{where} must hold keys and their values; got {content!r}")
    if known is not None and (unknown := [key for key in content if key not in known]):
        raise ValueError(f"{where} has no {unknown[0]!r}; it may have {', '.join(known)}")
    return content
