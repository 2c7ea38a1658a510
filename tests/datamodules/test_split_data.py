"""What the data modules of three parts share."""

from types import SimpleNamespace

import pytest
from pytorch_lightning.trainer.states import TrainerFn

from ranklight.datamodules import DigitClasses, DigitPoses, DigitRelevance

QUERIES = {"train_scenes": 80, "val_scenes": (6, 20), "test_scenes": (7, 30)}


def made(kind, seed):
    data = kind(split_seed=seed, **({"batch_size": 20} if kind is DigitClasses else QUERIES))
    data.setup("test")
    return data


@pytest.mark.parametrize("kind", [DigitClasses, DigitPoses, DigitRelevance])
def test_training_goes_on_with_the_split_of_its_checkpoint_only(kind):
    state = made(kind, 0).state_dict()
    for function, refused in ((TrainerFn.FITTING, True), (TrainerFn.TESTING, False)):
        same, other = made(kind, 0), made(kind, 1)
        for data in (same, other):
            data.trainer = SimpleNamespace(state=SimpleNamespace(fn=function))
        same.load_state_dict(state)
        if refused:
            with pytest.raises(ValueError, match="was trained on the split"):
                other.load_state_dict(state)
        else:
            other.load_state_dict(state)


def test_queries_and_gallery_have_a_loader_each():
    data = made(DigitPoses, 0)
    for loaders in (data.val_dataloader(), data.test_dataloader(), data.predict_dataloader()):
        assert len(loaders) == 2
    assert [len(loader.dataset) for loader in data.test_dataloader()] == [7, 30]
    assert len(made(DigitClasses, 0).test_dataloader().dataset) > 0


@pytest.mark.parametrize("kind", [DigitPoses, DigitRelevance])
def test_no_scenes_are_refused(kind):
    with pytest.raises(ValueError, match=r"at least 1; got 80, \(0, 3\) and \(7, 30\)"):
        kind(**QUERIES | {"val_scenes": (0, 3)})
