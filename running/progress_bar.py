"""Lightning's progress bar, for runs that count steps."""

from pytorch_lightning.callbacks import RichProgressBar

_NO_END = "/-2"


class ProgressBar(RichProgressBar):
    """Names the epoch alone where steps, not epochs, end the training: Lightning's says 3/-2."""

    def _get_train_description(self, current_epoch: int) -> str:
        return super()._get_train_description(current_epoch).replace(_NO_END, "")
