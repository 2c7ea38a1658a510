"""What is refused when rows are put together, and before two sides are compared."""

import pytest
import torch

from ranklight.metrics import (
    evaluate_clustering,
    evaluate_label_distances,
    evaluate_rank_correlation,
    evaluate_retrieval,
    evaluate_triplets,
)
from ranklight.search import Embedded, Shards, nearest


def rows(n=4, d=3):
    return torch.rand(n, d, generator=torch.Generator().manual_seed(0))


def test_labels_ids_and_positions_have_defaults():
    embedded = Embedded(rows(), shards=Shards([torch.tensor([0, 2, 3, 5]), torch.tensor([1, 4])]))
    assert embedded.ids.tolist() == [0, 2, 3, 5]
    assert embedded.labels.tolist() == [0, 2, 3, 5]
    assert Embedded(rows()).shards.size == 4


def test_images_are_found_by_id_in_any_order():
    embedded = Embedded(rows(), ids=torch.tensor([7, 90, 3, 8]))
    assert embedded.positions_of(torch.tensor([3, 7, 90])).tolist() == [2, 0, 1]
    with pytest.raises(ValueError, match="2 images were not embedded, the first is 5"):
        embedded.positions_of(torch.tensor([7, 5, 100]))


def test_the_gradient_is_not_followed():
    embeddings, labels = rows(6), torch.tensor([0, 0, 1, 1, 2, 2])
    scores = evaluate_retrieval(Embedded(embeddings, labels))
    followed = Embedded(embeddings.clone().requires_grad_(), labels)
    assert not followed.embeddings.requires_grad
    assert evaluate_retrieval(followed) == scores
    assert evaluate_clustering(followed)["nmi"] <= 1


def test_rows_that_do_not_belong_together_are_refused(unchecked):
    with pytest.raises(ValueError, match="4 embeddings came with 3 labels"):
        Embedded(rows(), torch.arange(3))
    with pytest.raises(ValueError, match="4 embeddings came with 5 ids"):
        Embedded(rows(), ids=torch.arange(5))
    with pytest.raises(ValueError, match="4 embeddings came with 2 positions"):
        Embedded(rows(), shards=Shards.unsharded(2))
    with pytest.raises(ValueError, match=r"matrix of floats.* torch.float32 of shape \[4\]"):
        Embedded(rows()[:, 0])
    with pytest.raises(ValueError, match=r"one row an image, not torch\.int64"):
        Embedded(rows().long())


EVALUATIONS = {
    "retrieval": evaluate_retrieval,
    "label distances": evaluate_label_distances,
    "correlation": evaluate_rank_correlation,
    "triplets": lambda queries, gallery: evaluate_triplets(
        queries, gallery, torch.tensor([[0, 1, 2]])
    ),
    "nearest": lambda queries, gallery: nearest(queries.embeddings, 1, gallery.embeddings),
}


@pytest.mark.parametrize("evaluate", EVALUATIONS.values(), ids=EVALUATIONS)
def test_sides_that_cannot_be_compared_are_refused(evaluate, unchecked):
    queries = Embedded(rows())
    with pytest.raises(ValueError, match="3 dimensions cannot be compared to a gallery of 2"):
        evaluate(queries, Embedded(rows(d=2)))
    with pytest.raises(ValueError, match="the gallery has no rows"):
        evaluate(queries, Embedded(rows(0)))
    with pytest.raises(ValueError, match="no queries"):
        evaluate(Embedded(rows(0)), queries)
    broken = rows()
    broken[2, 1] = torch.nan
    for sides in ((Embedded(broken), queries), (queries, Embedded(broken))):
        with pytest.raises(ValueError, match=r"1 of 4 embeddings hold NaN .* the first at row 2"):
            evaluate(*sides)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (torch.tensor([True, False, True, True]), r"type torch.bool and shape \[4\]"),
        (torch.arange(4)[:, None], r"type torch.int64 and shape \[4, 1\]"),
        (torch.rand(4), r"type torch.float32 and shape \[4\]"),
    ],
)
def test_retrieval_needs_one_class_a_row(labels, said, unchecked):
    with pytest.raises(ValueError, match=f"one integer class a row .* {said}"):
        evaluate_retrieval(Embedded(rows(), labels))
    with pytest.raises(ValueError, match="one integer class a row"):
        evaluate_retrieval(Embedded(rows()), Embedded(rows(), labels))
