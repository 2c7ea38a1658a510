import pytest

from ranklight.metric_directions import direction_of


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        ("val/recall@1", "max"),
        ("val/map@r", "max"),
        ("val/gallery/ndcg@100", "max"),
        ("val/map_macro", "max"),
        ("val/ap/3", "max"),
        ("val/accuracy_macro", "max"),
        ("val/label_distance@10", "min"),
        ("val/ranking_loss", "min"),
        ("val/coverage", "min"),
        ("val/inertia", "min"),
        ("val/pair_violations", "min"),
        ("val/eer", "min"),
        ("val/far", "min"),
        ("val/auc", "max"),
        ("val/tar@1e-3", "max"),
        ("val/fold_accuracy", "max"),
        ("val/tar@1e-3/low", None),
        ("val/far_resolution", None),
        ("val/threshold", None),
        ("train/loss", "min"),
        ("val_loss", "min"),
        ("val/queries", None),
        ("val/ndcg@1/chance", None),
        ("mine", None),
    ],
)
def test_direction(name, direction):
    assert direction_of(name) == direction
