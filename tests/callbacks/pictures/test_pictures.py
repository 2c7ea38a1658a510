"""What pictures show: frames, order, colours, names; and the baselines' thumbnails."""

from types import SimpleNamespace

import torch
from matplotlib.colors import to_rgba
from torchvision.transforms import v2

from ranklight.callbacks import EmbeddingMap
from ranklight.callbacks.evaluation.baselines import _thumbnail_pixels
from ranklight.callbacks.pictures.embedding_map import _rows_of_few_classes
from ranklight.callbacks.pictures.gallery import _figure, _image, _Names
from ranklight.datamodules import Batch
from ranklight.models import Pixels


class Pictures:
    """Pictures of one grey each, normalised as for a network."""

    transform = v2.Compose([v2.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))])
    indices = torch.tensor([30, 10, 20, 40])
    files = ("folder/white.png", "folder/black.png", "folder/grey.png", "folder/dark.png")
    greys = torch.tensor([1.0, 0.0, 0.5, 0.25])

    def __getitems__(self, rows):
        images = self.greys[rows].view(-1, 1, 1, 1).expand(-1, 3, 4, 4)
        return Batch(self.transform(images), torch.zeros(len(rows)), self.indices[rows])


def test_a_picture_is_shown_as_it_was_before_it_was_normalised():
    for index, grey in zip(Pictures.indices, Pictures.greys, strict=True):
        torch.testing.assert_close(_image(Pictures(), index), torch.full((3, 4, 4), grey.item()))


def test_the_gallery_shows_neighbours_in_order_with_frames_and_names():
    ids, labels = torch.tensor([10, 20, 30, 40]), torch.tensor([0, 1, 1, 1])
    names = _Names(labels, ids, ["cat", "dog"], Pictures())
    queries, found = torch.tensor([2]), torch.tensor([[1, 0, 3]])
    related = [torch.tensor([True, False, True])]
    figure = _figure(queries, found, related, lambda row: _image(Pictures(), ids[row]), names)
    greys = [float(axes.images[0].get_array().mean()) for axes in figure.axes]
    torch.testing.assert_close(greys, [1.0, 0.5, 0.0, 0.25])
    assert [axes.get_xlabel() for axes in figure.axes] == [
        "dog\nwhite.png",
        "dog\ngrey.png",
        "cat\nblack.png",
        "dog\ndark.png",
    ]
    frames = [axes.spines["left"].get_edgecolor() for axes in figure.axes[1:]]
    assert frames == [to_rgba(of) for of in ("tab:green", "tab:red", "tab:green")]
    assert not figure.axes[0].spines["left"].get_visible()


def test_a_map_of_many_classes_shows_all_images_of_a_few_by_name():
    labels = torch.arange(3000) % 955
    rows = _rows_of_few_classes(labels, 10)
    shown = torch.unique(labels[rows])
    assert len(shown) == 10
    assert torch.equal(rows, torch.isin(labels, shown).nonzero().squeeze(1))
    few = rows[:30]
    names = [f"bird {number}" for number in range(955)]
    embeddings = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
    figure = EmbeddingMap()._figure(embeddings, labels[few], names)
    drawn = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert drawn == [names[label] for label in torch.unique(labels[few])]
    colours = {tuple(dots.get_facecolor()[0]) for dots in figure.axes[0].collections}
    assert len(colours) == len(drawn)


def test_raw_pixels_of_large_images_are_those_of_thumbnails():
    small, large = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 224, 64)
    assert torch.equal(_thumbnail_pixels(small), Pixels()(small))
    assert _thumbnail_pixels(large).shape == (2, 3 * 32 * 32)
    even = _thumbnail_pixels(torch.full((1, 1, 64, 64), 0.5))
    torch.testing.assert_close(even, torch.full((1, 1024), 1 / 32))


def test_names_are_what_is_known():
    names = _Names(torch.tensor([3]), torch.tensor([8]), [], SimpleNamespace())
    assert names(torch.tensor(0)) == "class 3\nimage 8"
