"""Query expansion and database augmentation against loops, and on any number of ranks."""

import math

import pytest
import torch
import torch.distributed as dist

from ranklight.metrics import score_retrieval
from ranklight.search import Embedded, Shards
from ranklight.search.after import AlphaQueryExpansion, Chain, DatabaseAugmentation, Retrieval


def unit(seed, size=20, dimensions=3, dtype=torch.float64):
    """Unit rows, some of them copies of each other."""
    generator = torch.Generator().manual_seed(seed)
    made = torch.randn(size, dimensions, generator=generator, dtype=torch.float64)
    made[size // 2] = made[0]
    return torch.nn.functional.normalize(made).to(dtype)


def expanded_by_loops(query, gallery, n, alpha):
    """q' of Python floats; the gallery is without the query."""
    query, gallery = query.tolist(), gallery.tolist()

    def distance(g):
        return sum((a - b) ** 2 for a, b in zip(query, gallery[g], strict=True))

    total = list(query)
    for g in sorted(range(len(gallery)), key=lambda g: (distance(g), g))[:n]:
        cosine = sum(a * b for a, b in zip(query, gallery[g], strict=True))
        weight = max(cosine, 0.0) ** alpha
        total = [t + weight * value for t, value in zip(total, gallery[g], strict=True)]
    length = math.sqrt(sum(t * t for t in total))
    return torch.tensor([t / length for t in total], dtype=torch.float64)


def without(rows, position):
    return rows[torch.arange(len(rows)) != position]


SETTINGS = [(1, 3.0), (4, 3.0), (4, 0.0), (3, 2.5), (100, 1.0)]


@pytest.mark.parametrize(("n", "alpha"), SETTINGS)
def test_queries_of_a_gallery_equal_the_paper(n, alpha):
    queries, gallery = unit(0, 6), unit(1)
    after = AlphaQueryExpansion(n, alpha)(Retrieval(Embedded(queries), Embedded(gallery)))
    expected = torch.stack([expanded_by_loops(query, gallery, n, alpha) for query in queries])
    torch.testing.assert_close(after.queries.embeddings, expected)
    assert torch.equal(after.gallery.embeddings, gallery)


@pytest.mark.parametrize(("n", "alpha"), SETTINGS)
@pytest.mark.parametrize("step", [AlphaQueryExpansion, DatabaseAugmentation])
def test_rows_among_themselves_leave_themselves_out(step, n, alpha):
    rows = unit(2)
    after = step(n, alpha)(Retrieval(Embedded(rows)))
    expected = torch.stack(
        [expanded_by_loops(row, without(rows, i), n, alpha) for i, row in enumerate(rows)]
    )
    changed, kept = after.queries.embeddings, after.gallery.embeddings
    if step is DatabaseAugmentation:
        changed, kept = kept, changed
    torch.testing.assert_close(changed, expected)
    assert torch.equal(kept, rows)


@pytest.mark.parametrize("step", [AlphaQueryExpansion(3), DatabaseAugmentation(3)])
def test_no_image_finds_itself_afterwards(step):
    rows = Embedded(unit(3), torch.arange(20))
    after = step(Retrieval(rows))
    assert score_retrieval(*after[:2], ks=(1,))["recall@1"].isnan().all()


def test_queries_that_are_in_the_gallery_leave_themselves_out():
    rows, ids = unit(4), torch.arange(50, 70)
    part = torch.tensor([3, 10, 19])
    some = Retrieval(Embedded(rows[part], ids=ids[part]), Embedded(rows, ids=ids))
    step = AlphaQueryExpansion(4)
    every = step(Retrieval(Embedded(rows))).queries.embeddings
    assert torch.equal(step(some).queries.embeddings, every[part])


def test_augmentation_of_a_gallery_does_not_see_the_queries():
    queries, gallery = unit(5, 6), unit(6)
    step = DatabaseAugmentation(3)
    after = step(Retrieval(Embedded(queries), Embedded(gallery)))
    assert torch.equal(after.queries.embeddings, queries)
    alone = step(Retrieval(Embedded(gallery))).gallery.embeddings
    assert torch.equal(after.gallery.embeddings, alone)


def test_keeps_the_type_and_has_length_1():
    rows = unit(7, dtype=torch.float32)
    after = AlphaQueryExpansion(3)(Retrieval(Embedded(rows))).queries.embeddings
    assert after.dtype == torch.float32
    torch.testing.assert_close(after.norm(dim=1), torch.ones(20))
    wide = AlphaQueryExpansion(3)(Retrieval(Embedded(rows.double()))).queries.embeddings
    torch.testing.assert_close(after, wide.float())


@pytest.mark.parametrize("step", [AlphaQueryExpansion(3), DatabaseAugmentation(3)])
def test_one_image_alone_stays(step):
    after = step(Retrieval(Embedded(torch.tensor([[0.6, 0.8]]))))
    for side in (after.queries, after.gallery):
        torch.testing.assert_close(side.embeddings, torch.tensor([[0.6, 0.8]]))


def test_opposite_rows_add_nothing():
    rows = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    assert torch.equal(AlphaQueryExpansion(1)(Retrieval(Embedded(rows))).queries.embeddings, rows)


@pytest.mark.parametrize("step", [AlphaQueryExpansion, DatabaseAugmentation])
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n": 0}, "n must be 1 to"),
        ({"alpha": -1.0}, "alpha must be 0 or more; got -1.0"),
        ({"alpha": float("nan")}, "alpha must be 0 or more; got nan"),
    ],
)
def test_refuses_what_makes_no_sense(step, settings, message):
    with pytest.raises(ValueError, match=message):
        step(**settings)


@pytest.mark.parametrize("step", [AlphaQueryExpansion(1), DatabaseAugmentation(1)])
def test_refuses_embeddings_of_other_lengths(step):
    with pytest.raises(ValueError, match=r"needs embeddings of length 1: give the encoder"):
        step(Retrieval(Embedded(2 * unit(8))))


def test_a_chain_is_its_steps_in_their_order():
    rows = Embedded(unit(9))
    steps = [DatabaseAugmentation(2), AlphaQueryExpansion(3)]
    chain = Chain(steps)
    assert chain.name == "database_augmentation+alpha_qe"
    assert not chain.needs_training
    one, other = chain(Retrieval(rows)), steps[1](steps[0](Retrieval(rows)))
    assert torch.equal(one.queries.embeddings, other.queries.embeddings)
    assert torch.equal(one.gallery.embeddings, other.gallery.embeddings)
    with pytest.raises(ValueError, match="a chain needs one step or more"):
        Chain([])


def on_this_rank(rows, asked):
    rank, ranks = dist.get_rank(), dist.get_world_size()
    ids = torch.arange(len(rows))

    def share(which):
        dealt = max(1, ranks - (ranks > 2))  # the last of four ranks has nothing
        positions = [torch.arange(r, len(which), dealt) for r in range(dealt)]
        positions += [torch.arange(0)] * (ranks - dealt)
        own = which[positions[rank]]
        return Embedded(rows[own], own % 5, ids[own], Shards(positions, rank))

    results = []
    for retrieval in (
        Retrieval(share(ids)),
        Retrieval(share(asked), share(ids[:-4])),
    ):
        for step in (AlphaQueryExpansion(5, 2.5), DatabaseAugmentation(5)):
            for side in step(retrieval)[:2]:
                results.append(side.shards.all_gather(side.embeddings))
    return results


def test_is_the_same_on_any_number_of_ranks(run_on_ranks):
    rows, asked = unit(10, 60, 7, torch.float32), torch.tensor([1, 58, 20, 7, 59])
    (alone,) = run_on_ranks(on_this_rank, 1, rows, asked)
    for ranks in (2, 4):
        for results in run_on_ranks(on_this_rank, ranks, rows, asked):
            assert all(map(torch.equal, results, alone))
