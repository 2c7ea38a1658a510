"""Steps, schedules and what is monitored."""

import math

from ranklight.running.diagnosis.diagnosis import Diagnosis
from ranklight.running.diagnosis.rehearsal import Rehearsal


def diagnose_training(diagnosis: Diagnosis, rehearsal: Rehearsal) -> None:
    """How long the run is, and whether its schedules are as long.

    Args:
        diagnosis: Takes what is found.
        rehearsal: What was seen of the run.
    """
    if not rehearsal.began:
        if not rehearsal.refusals:
            diagnosis.add("error", "training", "the run has no steps: no batch, or no epoch")
        return
    steps, an_epoch = rehearsal.steps, rehearsal.steps_an_epoch
    diagnosis.tell(
        "training",
        steps_an_epoch=an_epoch,
        steps=None if math.isinf(steps) else steps,
        schedules=", ".join(schedule.name for schedule in rehearsal.schedules) or None,
        monitors=", ".join(sorted(rehearsal.monitors)) or None,
    )
    if math.isinf(steps):
        diagnosis.add("warning", "training", "nothing ends the run: set max_epochs or max_steps")
    elif steps < an_epoch:
        sentence = f"the run ends after {steps:,} of the {an_epoch:,} steps of its first epoch"
        diagnosis.add("note", "training", sentence)
    for schedule in rehearsal.schedules:
        if schedule.length is not None and schedule.steps < schedule.length:
            sentence = (
                f"{schedule.name} is {schedule.length:,} {schedule.interval}s long and the run has "
                f"{schedule.steps:,}: the rate does not come to its end"
            )
            diagnosis.add("warning", "training", sentence)
