"""What a network is given, and what of it learns."""

from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ranklight.running.diagnosis.diagnosis import Diagnosis


def diagnose_network(diagnosis: Diagnosis, model: nn.Module, learning: set[int]) -> None:
    """Normalisation, and parameters part by part.

    Args:
        diagnosis: Takes what is found.
        model: What is trained.
        learning: The ids of all parameters that an optimizer holds; empty where that is not known.
    """
    for name, module in model.named_modules():
        if name.rpartition(".")[2] == "inputs" and hasattr(module, "mean"):
            mean, std = _listed(module.mean), _listed(module.std)
            sentence = f"{name} subtracts the mean {mean} and divides by {std}, of 0..1"
            diagnosis.add("note", "network", sentence)
    for name, part in _parts(model):
        _tell_part(diagnosis, name, part)
    _diagnose_batch_norms(diagnosis, model)
    _diagnose_forgotten(diagnosis, model, learning)


def _parts(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """The children of the module, each network among them by its own children."""
    return [
        (f"{name}.{inner}" if inner else name, part)
        for name, child in model.named_children()
        for inner, part in (list(child.named_children()) or [("", child)])
        if any(True for _ in part.parameters())
    ]


def _tell_part(diagnosis: Diagnosis, name: str, part: nn.Module) -> None:
    total = sum(parameter.numel() for parameter in part.parameters())
    learns = sum(parameter.numel() for parameter in part.parameters() if parameter.requires_grad)
    kind = type(part).__name__
    diagnosis.tell("network", part=name, kind=kind, parameters=total, learning=learns)


def _diagnose_batch_norms(diagnosis: Diagnosis, model: nn.Module) -> None:
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    frozen = sum(not norm.training for norm in norms)
    if norms:
        sentence = f"the statistics of {frozen:,} of {len(norms):,} batch norms are frozen"
        diagnosis.add("note", "network", sentence)


def _diagnose_forgotten(diagnosis: Diagnosis, model: nn.Module, learning: set[int]) -> None:
    forgotten = [
        name
        for name, parameter in model.named_parameters()
        if learning and parameter.requires_grad and id(parameter) not in learning
    ]
    if forgotten:
        sentence = f"{len(forgotten)} parameters ask for gradients and no optimizer has them"
        diagnosis.add("warning", "network", sentence, forgotten)


def _listed(values: Any) -> list[float]:
    return [round(float(value), 3) for value in values.flatten()]
