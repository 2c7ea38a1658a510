"""What a network is given, and what of it learns."""

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ranklight.running.diagnosis.diagnosis import Diagnosis
from ranklight.running.what_learns import Groups, learning_parts, normalisation_of


def diagnose_network(diagnosis: Diagnosis, model: nn.Module, groups: Groups) -> None:
    """Normalisation, and parameters and rates part by part.

    Args:
        diagnosis: Takes what is found.
        model: What is trained.
        groups: Of the optimizers; empty where they are not known.
    """
    for sentence in normalisation_of(model):
        diagnosis.add("note", "network", sentence)
    for row in learning_parts(model, groups):
        diagnosis.tell("network", **row)
    _diagnose_batch_norms(diagnosis, model)
    _diagnose_forgotten(diagnosis, model, groups)


def _diagnose_batch_norms(diagnosis: Diagnosis, model: nn.Module) -> None:
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    frozen = sum(not norm.training for norm in norms)
    if norms:
        sentence = f"the statistics of {frozen:,} of {len(norms):,} batch norms are frozen"
        diagnosis.add("note", "network", sentence)


def _diagnose_forgotten(diagnosis: Diagnosis, model: nn.Module, groups: Groups) -> None:
    forgotten = [
        name
        for name, parameter in model.named_parameters()
        if groups and parameter.requires_grad and id(parameter) not in groups
    ]
    if forgotten:
        sentence = f"{len(forgotten)} parameters ask for gradients and no optimizer has them"
        diagnosis.add("warning", "network", sentence, forgotten)
