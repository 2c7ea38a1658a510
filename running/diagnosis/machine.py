"""Versions, processors and who sees them."""

import os

import torch

from ranklight.running.diagnosis.diagnosis import Diagnosis
from ranklight.running.provenance import versions
from ranklight.search.backends import faiss


def diagnose_machine(diagnosis: Diagnosis) -> None:
    """What torch and FAISS are, and which GPUs they see.

    Args:
        diagnosis: Takes what is found.
    """
    for name, version in versions().items():
        diagnosis.tell("machine", what=name, version=version)
    library = faiss()
    cuda = torch.cuda.device_count() if torch.cuda.is_available() else 0
    names = [torch.cuda.get_device_name(number) for number in range(cuda)]
    seen = f"{cuda} GPUs" if cuda else "no GPU"
    diagnosis.add("note", "machine", f"{os.cpu_count()} CPU cores; torch sees {seen}", names)
    if library is None:
        sentence = "FAISS is not installed: exact search and k-means are slower in plain torch"
        diagnosis.add("warning", "machine", sentence)
    elif cuda > (gpus := library.get_num_gpus()):
        sentence = f"FAISS sees {gpus} of {cuda} GPUs: on the others torch searches"
        diagnosis.add("warning", "machine", sentence)
