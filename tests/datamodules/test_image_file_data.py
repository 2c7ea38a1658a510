"""What every data module of image files can be told about its pictures."""

import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from ranklight.datamodules import ImageFolder
from ranklight.datamodules.image_file_data import ImageFileData


@pytest.fixture
def root(tmp_path):
    """Six classes of four pictures, 90 × 60 pixels, red on the left half."""
    for name in "abcdef":
        (tmp_path / name).mkdir()
        for number in range(4):
            picture = Image.new("RGB", (90, 60), (10 * number, 0, 90))
            picture.paste((255, 0, 0), (0, 0, 45, 60))
            picture.save(tmp_path / name / f"{number}.png")
    return str(tmp_path)


def folder(root, **options):
    data = ImageFolder(
        root,
        classes_per_batch=2,
        samples_per_class=2,
        validation="image_disjoint",
        validation_fraction=0.3,
        num_workers=0,
        **options,
    )
    data.setup("fit")
    return data


def test_a_batch_holds_bytes(root):
    batch = next(iter(folder(root, image_size=32).train_dataloader()))
    assert batch.images.dtype == torch.uint8
    assert batch.images.shape == (4, 3, 32, 32)


@pytest.mark.parametrize(("size", "resize"), [(224, 256), (448, 512), (32, 37), ((64, 32), 37)])
def test_resize_follows_image_size(size, resize):
    assert ImageFileData(image_size=size).resize == resize


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"image_size": 448, "resize": 256}, "resize 256 and image_size 448"),
        *(
            ({"image_size": size}, "whole pixels from 1; got")
            for size in (0, (8, -1), 16.5, (3, 8, 8), "8")
        ),
        *(
            ({"background": colour}, "three numbers of 0..255")
            for colour in ((0, 0, 256), (0, 0), "white")
        ),
        ({"seed": 2**70}, "seed must fit 64 bits"),
        ({"split_seed": 2**70}, "split_seed must fit 64 bits"),
        ({"resize": 256, "eval_transforms": [v2.Resize((224, 224))]}, "give it in your own"),
        ({"train_transforms": [v2.Resize(224)]}, "train_transforms must give pictures of"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_read(options, words, unchecked):
    with pytest.raises(ValueError, match=words):
        ImageFileData(**options)


def test_own_transforms_take_the_place_of_the_defaults(root):
    invert = v2.Compose([v2.Resize((16, 24)), lambda picture: 255 - picture])
    plain = v2.Resize((16, 24))
    data = folder(root, image_size=(16, 24), train_transforms=[invert], eval_transforms=[plain])
    training = data.train.__getitems__([(0, 0)]).images
    assert training[0, :, 8, 2].tolist() == [0, 255, 255]
    assert data.test.__getitems__([0]).images[0, :, 8, 2].tolist() == [255, 0, 0]
    assert data.val.__getitems__([0]).images.shape == (1, 3, 16, 24)


def test_what_transforms_draw_follows_the_epoch_and_the_image_alone(root):
    class Noise:
        def __call__(self, picture):
            return (picture + torch.randint(9, picture.shape)).clamp(0, 255).to(torch.uint8)

    transforms = [v2.Resize((16, 16)), Noise(), v2.RandAugment()]
    data = folder(root, image_size=16, train_transforms=transforms)
    several = data.train.__getitems__([(3, position) for position in range(4)]).images
    alone = [data.train.__getitems__([(3, position)]).images for position in range(4)]
    assert torch.equal(several, torch.cat(alone))
    assert not torch.equal(several, data.train.__getitems__([(4, p) for p in range(4)]).images)


def test_the_background_is_seen_through_what_is_transparent(root, tmp_path):
    for file in tmp_path.rglob("*.png"):
        Image.new("RGBA", (40, 40), (0, 0, 0, 0)).save(file)
    assert folder(root, image_size=8).test.__getitems__([0]).images.unique().tolist() == [255]
    blue = folder(root, image_size=8, background=(0, 0, 200))
    assert blue.test.__getitems__([0]).images[0, :, 4, 4].tolist() == [0, 0, 200]
