"""Whitening against its equation, on training that varies little, and on any number of ranks."""

import numpy as np
import pytest
import torch
import torch.distributed as dist

from ranklight.search import Embedded, Shards
from ranklight.search.after import PcaWhitening, Retrieval


def rows(seed, size=60, dimensions=5, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    scale = torch.tensor([3.0, 2.0, 1.0, 0.5, 0.1])[:dimensions]
    made = torch.randn(size, dimensions, generator=generator) * scale + 1
    return torch.nn.functional.normalize(made).to(dtype)


def by_the_equation(training, given, dimensions, regularisation=0.0):
    """Of NumPy, by the singular vectors of the data: no covariance."""
    training, given = training.double().numpy(), given.double().numpy()
    mean = training.mean(0)
    _, singular, directions = np.linalg.svd(training - mean, full_matrices=False)
    spread = singular**2 / len(training)
    scale = 1 / np.sqrt(spread + regularisation * spread.mean())
    white = ((given - mean) @ directions.T * scale)[:, :dimensions]
    return white / np.linalg.norm(white, axis=1, keepdims=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("dimensions", "regularisation"), [(None, 0.0), (3, 0.0), (4, 0.7)])
def test_equals_its_equation(dtype, dimensions, regularisation):
    training, queries, gallery = rows(0), rows(1, 9, dtype=dtype), rows(2, 2100, dtype=dtype)
    step = PcaWhitening(dimensions, regularisation)
    step.fit(Embedded(training))
    after = step(Retrieval(Embedded(queries), Embedded(gallery)))
    for ours, given in ((after.queries, queries), (after.gallery, gallery)):
        expected = by_the_equation(training, given, dimensions, regularisation)
        assert ours.embeddings.dtype == dtype
        # a direction is one up to its sign: inner products say the same
        products = ours.embeddings.double().numpy() @ ours.embeddings.double().numpy().T
        np.testing.assert_allclose(products, expected @ expected.T, atol=1e-6)


def test_training_itself_has_unit_covariance_before_it_is_scaled():
    training = rows(0).double()
    step = PcaWhitening()
    step.fit(Embedded(training))
    white = (training - step.mean) @ step.projection
    torch.testing.assert_close(white.T @ white / 60, torch.eye(5, dtype=torch.float64))


def test_keeps_labels_ids_and_groups():
    step = PcaWhitening(2)
    step.fit(Embedded(rows(0)))
    given = Embedded(
        rows(1, 3), torch.tensor([5, 6, 7]), torch.tensor([9, 8, 7]), groups=torch.ones(3).int()
    )
    after = step(Retrieval(given))
    assert after.gallery is None
    assert after.queries.embeddings.shape == (3, 2)
    assert torch.equal(after.queries.labels, given.labels)
    assert torch.equal(after.queries.ids, given.ids)
    assert torch.equal(after.queries.groups, given.groups)


def test_the_mean_itself_stays_zero():
    step = PcaWhitening()
    step.fit(Embedded(torch.tensor([[0.0], [2.0]])))
    assert step(Retrieval(Embedded(torch.tensor([[1.0]])))).queries.embeddings.tolist() == [[0.0]]


@pytest.mark.parametrize(
    ("training", "varied"),
    [(rows(0, 1), 0), (rows(0, 1).repeat(4, 1), 0), (rows(0, 3), 2)],
)
def test_refuses_training_that_varies_too_little(training, varied):
    with pytest.raises(ValueError, match=f"whitening 5 .* they vary in {varied}: lower dimensions"):
        PcaWhitening().fit(Embedded(training))


def test_a_regularisation_stands_in_for_what_does_not_vary():
    step = PcaWhitening(regularisation=0.1)
    step.fit(Embedded(rows(0, 3)))
    assert step(Retrieval(Embedded(rows(1)))).queries.embeddings.isfinite().all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dimensions": 0}, "dimensions must be 1 to"),
        ({"regularisation": -1.0}, "regularisation must be 0 or more; got -1.0"),
        ({"regularisation": float("nan")}, "regularisation must be 0 or more; got nan"),
    ],
)
def test_refuses_what_makes_no_sense(settings, message):
    with pytest.raises(ValueError, match=message):
        PcaWhitening(**settings)


def test_refuses_other_embeddings():
    with pytest.raises(ValueError, match="must be fitted on training embeddings first"):
        PcaWhitening()(Retrieval(Embedded(rows(0))))
    with pytest.raises(ValueError, match="of 5 dimensions cannot be projected on 6"):
        PcaWhitening(6).fit(Embedded(rows(0)))
    step = PcaWhitening()
    step.fit(Embedded(rows(0)))
    with pytest.raises(ValueError, match="fitted on 5 dimensions; got 3"):
        step(Retrieval(Embedded(torch.rand(2, 3))))


def on_this_rank(training, given):
    rank, ranks = dist.get_rank(), dist.get_world_size()

    def share(points):
        positions = [torch.arange(r, len(points), ranks) for r in range(ranks)]
        return Embedded(points[positions[rank]], shards=Shards(positions, rank))

    step = PcaWhitening(4)
    step.fit(share(training))
    queries = step(Retrieval(share(given))).queries
    return queries.shards.all_gather(queries.embeddings)


def test_is_the_same_on_any_number_of_ranks(run_on_ranks):
    (alone,) = run_on_ranks(on_this_rank, 1, rows(0, 2100), rows(1, 1030))
    for ranks in (2, 4):
        for white in run_on_ranks(on_this_rank, ranks, rows(0, 2100), rows(1, 1030)):
            assert torch.equal(white, alone)
