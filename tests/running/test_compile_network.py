import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from ranklight.models import Encoder, SmallConvNet
from ranklight.running import CompileNetwork


class Module(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.encoder = Encoder(SmallConvNet(), 4)

    def validation_step(self, batch, batch_idx):
        self.seen = self.encoder(batch)


@pytest.mark.parametrize("settings", [{"channels_last": True}, {"compiled_by": "aot_eager"}])
def test_numbers_and_checkpoints_stay_the_same(tmp_path, settings):
    torch.manual_seed(0)
    plain, fast = Module(), Module()
    fast.load_state_dict(plain.state_dict())
    images = torch.rand(6, 1, 28, 28)
    for module, callbacks in ((plain, []), (fast, [CompileNetwork(**settings)])):
        pl.Trainer(
            default_root_dir=tmp_path,
            accelerator="cpu",
            callbacks=callbacks,
            logger=False,
            enable_progress_bar=False,
        ).validate(module, DataLoader(images, batch_size=6), verbose=False)
    assert torch.allclose(plain.seen, fast.seen, atol=1e-6)
    assert plain.state_dict().keys() == fast.state_dict().keys()
    weights = [w for w in fast.encoder.parameters() if w.ndim == 4]
    layout = torch.channels_last if "channels_last" in settings else torch.contiguous_format
    assert all(w.is_contiguous(memory_format=layout) for w in weights)
    assert (fast.encoder._compiled_call_impl is not None) == ("compiled_by" in settings)


def test_an_unknown_backend_is_refused():
    with pytest.raises(ValueError, match="no backend 'quick'; it has"):
        CompileNetwork(compiled_by="quick")
