"""What can be said of data, network and machine before a run, in one list."""

from ranklight.running.diagnosis.diagnosis import Diagnosis, Finding
from ranklight.running.diagnosis.labels import diagnose_labels
from ranklight.running.diagnosis.machine import diagnose_machine
from ranklight.running.diagnosis.memory import diagnose_memory
from ranklight.running.diagnosis.network import diagnose_network
from ranklight.running.diagnosis.pictures import diagnose_pictures
from ranklight.running.diagnosis.rehearsal import Rehearsal, rehearse
from ranklight.running.diagnosis.training import diagnose_training

__all__ = [
    "Diagnosis",
    "Finding",
    "Rehearsal",
    "diagnose_labels",
    "diagnose_machine",
    "diagnose_memory",
    "diagnose_network",
    "diagnose_pictures",
    "diagnose_training",
    "rehearse",
]
