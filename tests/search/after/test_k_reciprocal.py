"""Re-ranking against the paper as loops over sets, and on any number of ranks."""

import functools
import math

import pytest
import torch
import torch.distributed as dist

from ranklight.metrics import Scoring, score_retrieval
from ranklight.search import Embedded, Shards, neighbour_lists
from ranklight.search.after import AlphaQueryExpansion, Chain, KReciprocal, Retrieval


def clusters(seed, size=40, dimensions=6):
    """Unit rows around a few centers, with copies and so with ties."""
    generator = torch.Generator().manual_seed(seed)
    centers = torch.randn(5, dimensions, generator=generator)
    rows = centers[torch.arange(size) % 5]
    rows = rows + 0.7 * torch.randn(size, dimensions, generator=generator)
    rows[size // 2] = rows[1]
    rows[-1] = rows[1]
    return torch.nn.functional.normalize(rows)


def order_by_the_paper(pool, query, candidates, k1, k2, weight):
    """Candidates of a query by d*; every row of the pool is a position in it."""
    points = pool.double().tolist()
    everyone = range(len(points))
    d = [[sum((a - b) ** 2 for a, b in zip(p, q, strict=True)) / 2 for q in points] for p in points]

    @functools.cache
    def nearest(p, k):
        return [p, *sorted((g for g in everyone if g != p), key=lambda g: (d[p][g], g))[:k]]

    @functools.cache
    def reciprocal(p, k):
        return {g for g in nearest(p, k) if p in nearest(g, k)}

    @functools.cache
    def encoded(p):
        members = set(reciprocal(p, k1))
        for q in reciprocal(p, k1):
            others = reciprocal(q, round(k1 / 2))
            if len(others & reciprocal(p, k1)) >= 2 / 3 * len(others):
                members |= others
        weights = {g: math.exp(-d[p][g]) for g in members}
        return {g: value / sum(weights.values()) for g, value in weights.items()}

    def averaged(p):
        lists = [encoded(g) for g in nearest(p, k1)[:k2]]
        return {g: sum(of.get(g, 0) for of in lists) / len(lists) for g in set().union(*lists)}

    def final(g):
        one, other = averaged(query), averaged(g)
        every = set(one) | set(other)
        least = sum(min(one.get(j, 0), other.get(j, 0)) for j in every)
        most = sum(max(one.get(j, 0), other.get(j, 0)) for j in every)
        return (1 - weight) * (1 - least / most) + weight * d[query][g]

    values = {g: final(g) for g in candidates}
    return sorted(candidates, key=lambda g: (round(values[g], 12), g)), values


def plain(points, query, among):
    """Positions in the order of search."""
    points = points.double()
    distance = (points[query] - points).square().sum(1).tolist()
    return sorted(among, key=lambda g: (round(distance[g], 12), g))


@pytest.mark.parametrize(
    ("k1", "k2", "weight"), [(6, 3, 0.3), (5, 1, 0.0), (1, 2, 0.5), (3, 3, 1.0), (60, 6, 0.3)]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_the_paper_among_the_rows_themselves(k1, k2, weight, dtype):
    rows = clusters(0, 24).to(dtype)
    step = KReciprocal(k1, k2, weight, candidates=10)
    again = step(Retrieval(Embedded(rows)))
    for query in range(0, 24, 3):
        found = plain(rows, query, [g for g in range(24) if g != query])
        expected, values = order_by_the_paper(rows, query, found[:10], k1, k2, weight)
        ours = again.search.first[query].tolist()
        assert [values[g] for g in ours] == pytest.approx([values[g] for g in expected])
        assert sorted(ours) == sorted(expected)


def test_neighbours_are_those_of_queries_and_gallery():
    rows = clusters(1, 30)
    queries = Embedded(rows[24:])
    again = KReciprocal(5, 2, 0.3, candidates=8)(Retrieval(queries, Embedded(rows[:24])))
    for query in range(6):
        found = plain(rows, 24 + query, range(24))[:8]
        _, values = order_by_the_paper(rows, 24 + query, found, 5, 2, 0.3)
        ours = again.search.first[query].tolist()
        assert sorted(ours) == sorted(found)
        assert [values[g] for g in ours] == pytest.approx(sorted(values.values()))


def test_queries_that_are_in_the_gallery_are_there_once():
    rows = clusters(2, 30)
    part = torch.tensor([3, 29, 8])
    ids = torch.arange(100, 130)
    some = Retrieval(Embedded(rows[part], ids=ids[part]), Embedded(rows, ids=ids))
    step = KReciprocal(5, 2, candidates=8)
    every = step(Retrieval(Embedded(rows)))
    assert torch.equal(step(some).search.first, every.search.first[part])


def test_what_follows_the_candidates_stays():
    rows = Embedded(clusters(3))
    again = KReciprocal(5, 2, candidates=7)(Retrieval(rows))
    counts = torch.randint(0, 40, (40,), generator=torch.Generator().manual_seed(0))
    whole = torch.full((40,), 39)
    (plain_lists,) = (found for _, found in neighbour_lists(rows, None, whole))
    seen = torch.zeros(40, dtype=torch.long)
    for row, found in neighbour_lists(rows, None, counts, again.search):
        seen[row] += 1
        for query, those in zip(row.tolist(), found.tolist(), strict=True):
            assert len(those) >= counts[query]
            assert those[:7] == again.search.first[query].tolist()
            end = max(7, int(counts[query]))
            assert those[7:end] == plain_lists[query, 7:end].tolist()
            assert sorted(those[:7]) == sorted(plain_lists[query, :7].tolist())
    assert torch.equal(seen, (counts > 0).long())


def test_brings_together_what_shares_neighbours():
    """A bridge: nearest to the query of all, but of another cluster."""
    left = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [0.5, 0.5]])
    right = torch.tensor([[1.6, 0.5], [2.0, 0.5], [2.1, 0.6], [2.1, 0.4], [2.0, 0.45]])
    rows = Embedded(torch.cat([left, right]), torch.arange(10) // 5)
    before = score_retrieval(rows, ks=(1,))
    search = KReciprocal(4, 2, 0.1)(Retrieval(rows)).search
    after = score_retrieval(rows, ks=(1,), search=search)
    assert after["map@r"].mean() > before["map@r"].mean()


def test_takes_a_single_image_and_more_candidates_than_there_are():
    again = KReciprocal()(Retrieval(Embedded(torch.ones(1, 2)), Embedded(torch.ones(1, 2))))
    assert again.search.first.tolist() == [[0]]
    alone = KReciprocal()(Retrieval(Embedded(torch.ones(1, 2))))
    assert alone.search.first.tolist() == [[-1]]


def test_copies_alone():
    again = KReciprocal(3, 2, candidates=3)(Retrieval(Embedded(torch.ones(6, 2))))
    assert again.search.first.shape == (6, 3)
    assert (again.search.first != torch.arange(6)[:, None]).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"k1": 0}, "k1 must be 1 to"),
        ({"k2": 0}, "k2 must be 1 to"),
        ({"candidates": 0}, "candidates must be 1 to"),
        ({"distance_weight": 1.5}, "distance_weight must be 0 to 1; got 1.5"),
        ({"k1": 3, "k2": 5}, "k2 averages over the first of k1 . 1 = 4 rows; got 5"),
    ],
)
def test_refuses_what_makes_no_sense(settings, message):
    with pytest.raises(ValueError, match=message):
        KReciprocal(**settings)


def test_comes_last_in_a_chain():
    rows = Embedded(clusters(4), torch.arange(40) % 5)
    chain = Chain([KReciprocal(5, 2), AlphaQueryExpansion(2)])
    with pytest.raises(ValueError, match="re-ranking is the last step of a chain"):
        score_retrieval(*(after := chain(Retrieval(rows)))[:2], search=after.search)


def share(rows, rank, ranks, ids=None):
    """Rows dealt in turn; the last rank has none of them when there are more than two."""
    dealt = max(1, ranks - (ranks > 2))
    positions = [
        torch.arange(r, len(rows), dealt) if r < dealt else torch.arange(0) for r in range(ranks)
    ]
    own = positions[rank]
    shards = Shards(positions, rank)
    return Embedded(rows[own], own % 5, None if ids is None else ids[own], shards)


def on_this_rank(rows, asked):
    rank, ranks = dist.get_rank(), dist.get_world_size()
    ids = torch.arange(len(rows))
    results = []
    for queries, gallery in (
        (share(rows, rank, ranks), None),
        (share(rows[asked], rank, ranks, ids[asked]), share(rows[:-4], rank, ranks, ids[:-4])),
    ):
        step = Chain([AlphaQueryExpansion(3), KReciprocal(5, 3, candidates=9)])
        after = step(Retrieval(queries, gallery))
        scoring = Scoring(whole_ranking=True)
        scores = score_retrieval(*after[:2], search=after.search, scoring=scoring)
        results += [queries.shards.all_gather(after.search.first)]
        results += [queries.shards.all_gather(score) for score in scores.values()]
    return results


def test_is_the_same_on_any_number_of_ranks(run_on_ranks):
    rows, asked = clusters(5, 50), torch.tensor([1, 48, 20, 7, 30, 49, 13])
    (alone,) = run_on_ranks(on_this_rank, 1, rows, asked)
    for ranks in (2, 4):
        for results in run_on_ranks(on_this_rank, ranks, rows, asked):
            for ours, expected in zip(results, alone, strict=True):
                torch.testing.assert_close(ours, expected, rtol=0, atol=0, equal_nan=True)
