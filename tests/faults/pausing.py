"""Callbacks that stop a run where a test wants it: they say so by a file, and wait for another."""

import time
from pathlib import Path

from pytorch_lightning import Callback

from ranklight.callbacks import RetrievalEvaluation


def pause(folder):
    Path(folder, "reached").touch()
    while not Path(folder, "go").exists():
        time.sleep(0.005)


class PauseIn(Callback):
    """Pauses in a hook when it is called for the first time outside of the sanity check."""

    def __init__(self, hook: str, folder: str) -> None:
        self.paused = False

        def wait(trainer, *_, **__):
            if not self.paused and not trainer.sanity_checking:
                self.paused = True
                pause(folder)

        setattr(self, hook, wait)


class PauseInClustering(RetrievalEvaluation):
    """Pauses on rank 0, which clusters while the other ranks wait."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.folder = folder

    def cluster(self, trainer, sides):
        if trainer.is_global_zero and not trainer.sanity_checking:
            pause(self.folder)
        return super().cluster(trainer, sides)
