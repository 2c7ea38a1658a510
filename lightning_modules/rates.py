"""Who learns how fast: parts of a module by name, each with its rate, decay and rest."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import NamedTuple

from torch import nn

from ranklight.kernels.checks import check_not_negative, whole


@dataclass(frozen=True)
class Rate:
    """How a part of a module learns.

    Args:
        factor: Of the optimizer's learning rate: 0.1 for a pretrained trunk, 100 for proxies.
        weight_decay: In place of the optimizer's.
        layer_decay: For networks of timm, which say their layers: each layer learns at so many
            times the rate of the layer after it, the last one at nearly the part's rate. 0.65 to
            0.9 are usual for pretrained transformers; smaller leaves the first layers as they were.
        frozen_epochs: The first epochs in which the part rests: no gradients, and the statistics of
            its batch norms stay as they are.

    Raises:
        ValueError: A factor or decay that cannot be, or a negative number of epochs.
    """

    factor: float = 1.0
    weight_decay: float | None = None
    layer_decay: float | None = None
    frozen_epochs: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.factor < math.inf:
            raise ValueError(
                f"factor of a rate must be above 0 and finite, got {self.factor}: what shall not "
                "learn for a while has frozen_epochs"
            )
        if self.weight_decay is not None:
            check_not_negative(weight_decay=self.weight_decay)
        if self.layer_decay is not None and not 0 < self.layer_decay <= 1:
            raise ValueError(f"layer_decay must be above 0 and at most 1, got {self.layer_decay}")
        if whole(self.frozen_epochs, "frozen_epochs") < 0:
            raise ValueError(f"frozen_epochs must be 0 or more, got {self.frozen_epochs}")


Rates = Mapping[str, float | Rate]
"""Parts by name, for example encoder.trunk; a number is a factor. The longest name counts."""


class Group(NamedTuple):
    """Parameters that learn alike.

    Attributes:
        part: The name in the rates; empty for what they do not name.
        factor: Of the optimizer's rate.
        weight_decay: None: the optimizer's.
        parameters: Those that learn.
    """

    part: str
    factor: float
    weight_decay: float | None
    parameters: list[nn.Parameter]


def rates_of(given: Rates | None) -> dict[str, Rate]:
    """The rates, each in full."""
    return {
        name: rate if isinstance(rate, Rate) else Rate(rate) for name, rate in (given or {}).items()
    }


def part_of(name: str, rates: Mapping[str, Rate]) -> str:
    """The longest name among the rates that a parameter or module lies in; empty if none does."""
    around = [part for part in rates if f"{name}.".startswith(f"{part}.")]
    return max(around, key=len, default="")


def parameter_groups(
    module: nn.Module, rates: Mapping[str, Rate], decay_norms_and_biases: bool
) -> list[Group]:
    """All parameters that learn, those that learn alike together.

    Args:
        module: Whose parameters these are.
        rates: By part; what no part holds learns at the optimizer's rate.
        decay_norms_and_biases: False takes weight decay from vectors (norms, biases) and from what
            a network of timm excepts (position embeddings, class tokens).

    Raises:
        ValueError: A name that no parameter lies in, layers that are not known, or nothing that
            learns in the first epoch.
    """
    _check_names(module, rates)
    excepted = set() if decay_norms_and_biases else _excepted(module)
    scales = _layer_scales(module, rates)
    groups: dict[tuple[str, float, float | None], list[nn.Parameter]] = {}
    for name, parameter in learning(module):
        part = part_of(name, rates)
        rate = rates.get(part, Rate())
        decays = decay_norms_and_biases or not (parameter.ndim <= 1 or name in excepted)
        decay = rate.weight_decay if decays else 0.0
        factor = rate.factor * scales.get(name, 1.0)
        groups.setdefault((part, factor, decay), []).append(parameter)
    return [Group(*alike, parameters) for alike, parameters in groups.items()]


def learning(module: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """The parameters that ask for gradients, by name."""
    return (pair for pair in module.named_parameters() if pair[1].requires_grad)


def _check_names(module: nn.Module, rates: Mapping[str, Rate]) -> None:
    names = [name for name, _ in learning(module)]
    for part in rates:
        if not any(f"{name}.".startswith(f"{part}.") for name in names):
            known = _parts(names)
            near = get_close_matches(part, known, n=3, cutoff=0.6)
            short = [name for name in known if name.count(".") < 2]
            raise ValueError(
                f"rates need names of parts with parameters that learn, got {part!r}; there are "
                f"{', '.join(dict.fromkeys([*near, *short]))}"
            )
    if names and all(rates.get(part_of(name, rates), Rate()).frozen_epochs for name in names):
        raise ValueError("rates freeze every part in the first epoch: something has to learn")


def _parts(names: list[str]) -> list[str]:
    """Every name of a module around these parameters, and the parameters'."""
    words = [name.split(".") for name in names]
    return list(
        dict.fromkeys(".".join(each[:n]) for each in words for n in range(1, len(each) + 1))
    )


def _excepted(module: nn.Module) -> set[str]:
    """The names of what the networks within themselves except from weight decay."""
    return {
        f"{prefix}.{name}" if prefix else name
        for prefix, network in module.named_modules()
        if callable(getattr(network, "no_weight_decay", None))
        for name in network.no_weight_decay()
    }


def _layer_scales(module: nn.Module, rates: Mapping[str, Rate]) -> dict[str, float]:
    """What layer decay multiplies the rate of each parameter by."""
    modules = dict(module.named_modules())
    scales: dict[str, float] = {}
    # A longer name counts before a shorter one, so it is written last.
    for part in sorted(rates, key=len):
        decay = rates[part].layer_decay
        if decay is None:
            continue
        within = modules[part].named_modules(prefix=part) if part in modules else ()
        found = [(name, each) for name, each in within if hasattr(each, "group_matcher")]
        if not found:
            raise ValueError(
                f"layer_decay needs a network that says its layers, as those of models.TimmTrunk "
                f"do; {part} is {type(modules.get(part)).__name__}"
            )
        name, network = found[0]
        scales |= {f"{name}.{key}": scale for key, scale in _of_layers(network, decay).items()}
    return scales


def _of_layers(network: nn.Module, decay: float) -> dict[str, float]:
    # Here, since importing timm takes a second, and who has no layer_decay does without.
    from timm.optim._param_groups import param_groups_layer_decay

    groups = param_groups_layer_decay(network, layer_decay=decay)
    scale = {id(each): group["lr_scale"] for group in groups for each in group["params"]}
    return {name: scale[id(parameter)] for name, parameter in learning(network)}
