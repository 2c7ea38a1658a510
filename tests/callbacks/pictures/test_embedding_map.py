"""What maps show: whole classes by name, or a label as a colour."""

import pytest
import torch
from matplotlib.colors import to_hex

from ranklight.callbacks import EmbeddingMap, Gallery, LabelRanking, RetrievalEvaluation
from tests.callbacks.pictures.worlds import ByGrey, Data, Greys, drawn, trainer

GREYS = list(range(0, 240, 6))


def map_of(folder, evaluation, data, **arguments):
    run = trainer(folder, evaluation, EmbeddingMap(**arguments))
    (figure,) = drawn(run, "test", ByGrey(), data).values()
    return figure


def groups(figure):
    """Name -> (colour, number of points), of a legend."""
    axes = figure.axes[0]
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    return {
        name: (to_hex(dots.get_facecolor()[0]), len(dots.get_offsets()))
        for name, dots in zip(names, axes.collections, strict=True)
    }


def test_all_images_of_a_few_of_many_classes_by_name(tmp_path):
    labels = torch.arange(40) % 12
    names = [f"bird {number}" for number in range(12)]
    data = Data(Greys(GREYS, labels), class_names=names)
    figure = map_of(tmp_path, RetrievalEvaluation(clustering=False), data, classes=3)
    shown = groups(figure)
    assert list(shown) == ["bird 0", "bird 5", "bird 11"]
    assert [count for _, count in shown.values()] == [4, 3, 3]
    assert len({colour for colour, _ in shown.values()}) == 3


def test_points_are_bounded(tmp_path):
    data = Data(Greys(GREYS, torch.arange(40) % 2))
    figure = map_of(tmp_path, RetrievalEvaluation(clustering=False), data, points=10)
    shown = groups(figure)
    assert sum(count for _, count in shown.values()) == 10
    assert list(shown) == ["class 0", "class 1"]


def test_names_are_drawn_as_they_are_written(tmp_path):
    data = Data(Greys(GREYS, torch.arange(40) % 2), class_names=("$a$b^$", "_hidden"))
    figure = map_of(tmp_path, RetrievalEvaluation(clustering=False), data)
    figure.savefig(tmp_path / "drawn.png")
    assert list(groups(figure)) == ["$a$b^$", "_hidden"]


@pytest.mark.parametrize(("column", "name"), [(0, "label column 0"), (1, "label column 1")])
def test_a_number_is_a_colour_beside_a_bar(tmp_path, column, name):
    labels = torch.rand(40, 2, generator=torch.Generator().manual_seed(0))
    sides = Greys(GREYS[:5], labels[:5], first=90), Greys(GREYS, labels)
    figure = map_of(tmp_path, LabelRanking(ks=(1,)), Data(*sides), column=column)
    (dots,) = figure.axes[0].collections
    assert dots.get_array().tolist() == labels[:, column].tolist()
    assert figure.axes[1].get_ylabel() == name


def test_one_number_is_the_label(tmp_path):
    sides = Greys(GREYS[:5], torch.rand(5), first=90), Greys(GREYS, torch.rand(40))
    figure = map_of(tmp_path, LabelRanking(ks=(1,)), Data(*sides))
    assert figure.axes[1].get_ylabel() == "label"
    with pytest.raises(ValueError, match="column 1 is none of the 1 of the labels"):
        map_of(tmp_path, LabelRanking(ks=(1,)), Data(*sides), column=1)


def test_of_several_labels_one_is_the_colour():
    labels = torch.tensor([[1.0, 0], [1, 1], [0, 1], [0, -1], [0, 0]])
    figure = EmbeddingMap(column=1)._figure(torch.rand(5, 3), labels, ("cat", "dog"))
    assert [(name, count) for name, (_, count) in groups(figure).items()] == [
        ("dog", 2),
        ("not dog", 2),
        ("unknown", 1),
    ]


def test_near_embeddings_are_near_on_the_map(tmp_path):
    embeddings = torch.cat([torch.rand(20, 4), 50 + torch.rand(20, 4)])
    figure = EmbeddingMap()._figure(embeddings, torch.arange(40) // 20, ())
    left, right = (dots.get_offsets() for dots in figure.axes[0].collections)
    apart = ((left.mean(0) - right.mean(0)) ** 2).sum() ** 0.5
    assert apart > 2 * max(left.std(0).max(), right.std(0).max())


def test_refuses_what_it_cannot_draw(tmp_path):
    with pytest.raises(ValueError, match="colours for 1 to 20 classes, not for 21"):
        EmbeddingMap(classes=21)
    with pytest.raises(ValueError, match="4 or more points and a column from 0 on, not 3 and 0"):
        EmbeddingMap(points=3)
    scored = ByGrey(says={"scores": torch.ones(40, 3)})
    run = trainer(tmp_path, Gallery(), EmbeddingMap(), max_epochs=1)
    with pytest.raises(ValueError, match="modules that score labels have none: drop the map"):
        run.fit(scored, datamodule=Data(Greys(GREYS, torch.ones(40, 3))))
    few = Data(Greys([1, 2, 3], [0, 0, 1]))
    run = trainer(tmp_path, RetrievalEvaluation(clustering=False), EmbeddingMap())
    with pytest.warns(UserWarning, match="there is no map: it needs 4 or more images"):
        assert not drawn(run, "test", ByGrey(), few)
