"""What galleries show in each label world: pictures, their order, frames and words."""

import pytest
import torch
from matplotlib.colors import to_hex, to_rgb
from torch.utils.data import DataLoader

from ranklight.callbacks import Gallery, LabelRanking, RetrievalEvaluation, TripletPrecision
from ranklight.datamodules import Batch
from ranklight.losses import TripletLoss
from ranklight.pairs import GradedByAttributes, Objective
from tests.callbacks.pictures.worlds import ByGrey, Data, Greys, cells, drawn, trainer
from tests.lightning_ranks import on_these_ranks

GREEN, RED, ORANGE, GREY = (to_hex(f"tab:{name}") for name in ("green", "red", "orange", "gray"))
BLACK = "#000000"
CLASSES = Greys([10, 60, 40, 200, 220, 90], [0, 0, 1, 1, 2, 2])
NAMES = ("cat", "dog", "owl")
NUMBERS = (
    Greys([100, 30], [[0.5, 2.0], [0.25, 1.0]]),
    Greys([20, 90, 240], [[0.25, 1.0], [0.5, 1.0], [3.5, 6.0]], first=50),
)
ATTRIBUTES = (
    Greys([100], [[3.0, 0.0]]),
    Greys([90, 105, 130, 220], [[3.0, 0.5], [4.0, 0.0], [3.0, 0.0], [3.0, 9.0]], first=50),
)
LABELS = torch.tensor([[1.0, 0, 1], [0, 1, 0], [1, -1, 0]])
SCORES = torch.tensor([[3.0, 2, 1], [1, 2, 3], [3, 2, 1]])
DECIDED = torch.tensor([[True, True, False], [False, True, False], [True, True, False]])


def gallery_of(folder, evaluation, model, data, stage="test", **arguments):
    callbacks = [Gallery(**arguments), *([evaluation] if evaluation else [])]
    (figure,) = drawn(trainer(folder, *callbacks), stage, model, data).values()
    return figure


def expected_of_classes(queries, neighbours):
    """Rows of (grey, words, frame), by sorting the differences of greys."""
    greys, labels = CLASSES.greys.tolist(), CLASSES.labels.tolist()
    images = list(zip(greys, labels, strict=True))
    for query in queries:
        others = [image for image in images if image[0] != query]
        others.sort(key=lambda image: abs(image[0] - query))
        mine = labels[greys.index(query)]
        row = [(query, None), *((grey, mine == of) for grey, of in others[:neighbours])]
        frames = {None: None, True: GREEN, False: RED}
        yield [
            (grey, [NAMES[labels[greys.index(grey)]], f"grey-{grey}.png"], frames[right])
            for grey, right in row
        ]


def test_of_classes_neighbours_stand_in_order_framed_by_relevance_with_their_names(tmp_path):
    data = Data(CLASSES, class_names=NAMES)
    evaluation = RetrievalEvaluation(clustering=False)
    figure = gallery_of(tmp_path, evaluation, ByGrey(), data, queries=3, neighbours=4)
    seen = [[(cell.grey, cell.words, cell.frame) for cell in row] for row in cells(figure)]
    assert seen == list(expected_of_classes([60, 200, 90], 4))
    assert {colour for row in cells(figure) for cell in row for colour in cell.colours} == {BLACK}


def test_more_neighbours_than_there_are_show_all(tmp_path):
    data = Data(CLASSES, class_names=NAMES)
    evaluation = RetrievalEvaluation(clustering=False)
    figure = gallery_of(tmp_path, evaluation, ByGrey(), data, queries=99, neighbours=99)
    assert [len(row) for row in cells(figure)] == [6] * 6


def test_of_numbers_the_label_distance_stands_beneath_images_of_the_gallery(tmp_path):
    figure = gallery_of(tmp_path, LabelRanking(ks=(1,)), ByGrey(), Data(*NUMBERS))
    first, second = cells(figure)
    assert [cell.grey for cell in first] == [100, 90, 20, 240]
    assert [cell.grey for cell in second] == [30, 20, 90, 240]
    assert [cell.words for cell in first] == [
        ["grey-100.png"],
        ["grey-90.png", "label distance 1.00"],
        ["grey-20.png", "label distance 1.03"],
        ["grey-240.png", "label distance 5.00"],
    ]
    assert second[1].words == ["grey-20.png", "label distance 0.00"]
    assert {cell.frame for cell in first + second} == {None}


def test_numbers_within_one_unit_are_label_distances_too(tmp_path):
    sides = Greys([10], [0.5]), Greys([20, 30], [0.25, 0.5], first=50)
    figure = gallery_of(tmp_path, LabelRanking(ks=(1,)), ByGrey(), Data(*sides))
    words = [cell.words[-1] for cell in cells(figure)[0][1:]]
    assert words == ["label distance 0.25", "label distance 0.00"]


def test_graded_relevance_is_a_shade_of_green_and_red_where_there_is_none(tmp_path):
    data = Data(*ATTRIBUTES, triplets=torch.tensor([[0, 52, 51]]))
    graded = GradedByAttributes(same_class=0.2, length=0.5)
    model = ByGrey(Objective(TripletLoss(), relevance=graded))
    figure = gallery_of(tmp_path, TripletPrecision(k=1), model, data)
    (row,) = cells(figure)
    assert [cell.grey for cell in row] == [100, 105, 90, 130, 220]
    beneath = [cell.words[-1] for cell in row[1:]]
    assert beneath == [f"relevance {value}" for value in ("0.00", "0.49", "1.00", "0.20")]
    none, near, same, far = (to_rgb(cell.frame) for cell in row[1:])
    assert to_hex(none) == RED
    assert sum(same) < sum(near) < sum(far)
    assert all(green > red for red, green, _ in (near, same, far))
    assert [axes.get_ylabel() for axes in figure.axes if not axes.images] == [
        "relevance; red: none"
    ]


@pytest.mark.parametrize("stage", ["test", "validate"])
def test_of_several_labels_the_wrong_ones_are_marked(tmp_path, stage):
    data = Data(Greys([10, 20, 30], LABELS), class_names=NAMES)
    model = ByGrey(says={"scores": SCORES}, first=~DECIDED, last=DECIDED)
    figure = gallery_of(tmp_path, None, model, data, stage)
    said = {
        "test": [
            (["cat", "missed: owl", "false: dog"], [GREEN, ORANGE, RED], RED),
            (["dog"], [GREEN], GREEN),
            (["cat", "unknown: dog"], [GREEN, GREY], GREEN),
        ],
        "validate": [
            (["cat", "missed: owl", "false: dog"], [GREEN, ORANGE, RED], RED),
            (["missed: dog", "false: owl"], [ORANGE, RED], RED),
            (["cat"], [GREEN], GREEN),
        ],
    }[stage]
    (row,) = cells(figure)
    assert [cell.grey for cell in row] == [10, 20, 30]
    for cell, (words, colours, frame) in zip(row, said, strict=True):
        assert cell.words == [f"grey-{cell.grey}.png", *words]
        assert cell.colours == [BLACK, *colours]
        assert cell.frame == frame
    by = {"test": "last", "validate": "highest scores, as many as there are labels"}[stage]
    assert figure.get_suptitle() == f"labels predicted by {by}"


def test_another_decision_rule_may_be_shown(tmp_path):
    data = Data(Greys([10, 20, 30], LABELS), class_names=NAMES)
    model = ByGrey(says={"scores": SCORES}, first=~DECIDED, last=DECIDED)
    figure = gallery_of(tmp_path, None, model, data, rule="first")
    assert cells(figure)[0][0].words == ["grey-10.png", "owl", "missed: cat"]
    with pytest.raises(ValueError, match="none of the module's decision rules: first, last"):
        gallery_of(tmp_path, None, model, data, rule="lats")


def test_of_many_images_a_few_are_shown_and_of_many_labels_as_many_as_fit(tmp_path):
    labels = torch.ones(50, 12)
    model = ByGrey(says={"scores": labels})
    data = Data(Greys(list(range(50)), labels))
    figure = gallery_of(tmp_path, None, model, data, queries=1)
    (row,) = cells(figure)
    assert len(row) == 8
    assert len({cell.grey for cell in row}) == 8
    assert max(cell.grey for cell in row) > 20
    assert row[0].words[1:] == [*(f"class {number}" for number in range(7)), "and 5 more"]


def test_where_classes_are_predicted_the_query_says_whether_rightly(tmp_path):
    predicted = torch.tensor([0, 2, 1, 1, 2, 2])
    data = Data(CLASSES, class_names=NAMES)
    model = ByGrey(says={"predicted": predicted})
    figure = gallery_of(tmp_path, RetrievalEvaluation(clustering=False), model, data, queries=3)
    queries = [row[0] for row in cells(figure)]
    assert [(cell.words[-1], cell.colours[-1], cell.frame) for cell in queries] == [
        ("predicted owl", RED, RED),
        ("predicted dog", GREEN, GREEN),
        ("predicted owl", GREEN, GREEN),
    ]
    assert not any("predicted" in cell.words[-1] for row in cells(figure) for cell in row[1:])


def test_names_are_drawn_as_they_are_written(tmp_path):
    data = Data(Greys([1, 2, 3], [0, 0, 1]), class_names=("$a$b^$", "_" * 30))
    figure = gallery_of(tmp_path, RetrievalEvaluation(clustering=False), ByGrey(), data)
    figure.savefig(tmp_path / "drawn.png")
    words = {cell.words[0] for row in cells(figure) for cell in row}
    assert words == {"$a$b^$", "_" * 23 + "…"}


def test_is_drawn_in_training_where_asked_to_and_in_validation_on_its_own(tmp_path):
    evaluation = RetrievalEvaluation(clustering=False)
    often = trainer(tmp_path, evaluation, Gallery(every_n_epochs=2), max_epochs=4)
    assert list(drawn(often, "fit", ByGrey(), Data(CLASSES))) == [
        "gallery-epoch-0001",
        "gallery-epoch-0003",
    ]
    never = trainer(tmp_path, evaluation, Gallery(), max_epochs=1)
    assert not drawn(never, "fit", ByGrey(), Data(CLASSES))
    assert list(drawn(never, "validate", ByGrey(), Data(CLASSES))) == ["gallery-val"]


def test_refuses_what_it_cannot_show(tmp_path):
    with pytest.raises(ValueError, match="1 or more queries and neighbours, not 0 and 8"):
        Gallery(queries=0)
    with pytest.raises(ValueError, match="every_n_epochs is 1 or more, or null, not 0"):
        Gallery(every_n_epochs=0)
    run = trainer(tmp_path, Gallery(), max_epochs=1)
    with pytest.raises(ValueError, match="needs an evaluation of embeddings among the callbacks"):
        run.fit(ByGrey(), datamodule=Data(CLASSES))
    assert run.global_step == 0
    unknown = [Batch(torch.zeros(2, 3, 4, 6), torch.tensor([0, 0]), torch.arange(2))]
    run = trainer(tmp_path, Gallery(), RetrievalEvaluation(clustering=False))
    with pytest.raises(ValueError, match="and `__getitems__`, their batch; list lacks one of them"):
        run.test(ByGrey(), DataLoader(unknown, batch_size=None), verbose=False)


def rows_on_a_rank(folder):
    """What rank 0 has drawn of three worlds; nothing on the others."""
    labelled = Data(Greys([10, 20, 30], LABELS), class_names=NAMES)
    worlds = {
        "classes": (
            RetrievalEvaluation(clustering=False),
            ByGrey(says={"predicted": torch.tensor([0, 2, 1, 1, 2, 2])}),
            Data(CLASSES, class_names=NAMES),
        ),
        "numbers": (LabelRanking(ks=(1,)), ByGrey(), Data(*NUMBERS)),
        "labels": (None, ByGrey(says={"scores": SCORES}, last=DECIDED), labelled),
    }
    seen = {}
    for name, (evaluation, model, data) in worlds.items():
        callbacks = [Gallery(), *([evaluation] if evaluation else [])]
        settings = on_these_ranks() if torch.distributed.is_initialized() else {}
        pictures = drawn(trainer(folder, *callbacks, **settings), "test", model, data)
        seen[name] = [cells(figure) for figure in pictures.values()]
    return seen


def test_two_processes_draw_the_picture_of_one_once(run_on_ranks, tmp_path):
    first, second = run_on_ranks(rows_on_a_rank, 2, tmp_path)
    assert first == rows_on_a_rank(tmp_path)
    assert all(len(pictures) == 1 for pictures in first.values())
    assert not any(second.values())
