"""Intervals, paired differences, Holm, power and ranks, each beside a peer or a loop."""

import math
import random
import statistics

import numpy as np
import pytest
from scipy import stats

from ranklight.studies.bootstrap import hierarchical_interval
from ranklight.studies.holm import holm
from ranklight.studies.intervals import student_interval
from ranklight.studies.paired import paired_differences
from ranklight.studies.power import power_of, seeds_for
from ranklight.studies.ranks import mean_ranks

SCORES, BASE = {0: 0.62, 1: 0.65, 2: 0.61, 3: 0.70}, {3: 0.66, 2: 0.60, 1: 0.66, 0: 0.58}


def test_the_interval_and_p_value_are_students():
    values = [0.5, 0.6, 0.7, 0.65]
    found = student_interval(values)
    low, high = stats.t.interval(0.95, 3, loc=found.mean, scale=stats.sem(values))
    assert (found.mean - found.half_width, found.mean + found.half_width) == pytest.approx(
        (low, high)
    )
    assert found.p_value == pytest.approx(stats.ttest_1samp(values, 0).pvalue)
    assert math.isnan(student_interval([1.0]).half_width)


def test_equal_runs_have_no_width_and_differ_surely():
    assert student_interval([0.1 + 0.2, 0.3, 0.3])[1:3] == (0, 0)
    assert student_interval([0.0, 0.0])[1:3] == (0, 1)


def test_a_difference_is_within_a_seed_whatever_the_order():
    found, seeds = student_interval([*paired_differences(SCORES, BASE).values()]), range(4)
    peer = stats.ttest_rel([SCORES[s] for s in seeds], [BASE[s] for s in seeds])
    interval = peer.confidence_interval(0.95)
    assert found.p_value == pytest.approx(peer.pvalue)
    assert (found.mean - found.half_width, found.mean + found.half_width) == pytest.approx(interval)


def test_only_seeds_that_both_have_count():
    assert paired_differences({0: 1.0, 7: 2.0}, {7: 0.5}) == {7: 1.5}
    with pytest.raises(ValueError, match="seeds that both have; got 0 and 1"):
        paired_differences({0: 1.0}, {1: 1.0})


def test_holm_is_a_loop_that_stops():
    """Step down: with the smallest first, reject while p (m + 1 - i) <= level."""
    draw = random.Random(0)
    for _ in range(50):
        p_values = [draw.random() ** 3 for _ in range(draw.randint(1, 6))]
        adjusted = holm(p_values)
        for level in (0.01, 0.05, 0.3):
            rejected = set()
            for done, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
                if p_values[place] * (len(p_values) - done) > level:
                    break
                rejected.add(place)
            assert {place for place, p in enumerate(adjusted) if p <= level} == rejected


def test_holm_skips_what_was_not_tested():
    adjusted = holm([math.nan, 0.02, 0.03])
    assert math.isnan(adjusted[0])
    assert adjusted[1:] == [0.04, 0.04]


def test_power_is_how_often_a_simulated_test_sees_the_difference():
    draw = np.random.default_rng(0)
    pairs = draw.normal(0.6, 1.0, size=(20000, 10))
    seen = (stats.ttest_1samp(pairs, 0, axis=1).pvalue < 0.05).mean()
    assert power_of(10, 0.6, 1.0) == pytest.approx(seen, abs=0.01)


@pytest.mark.parametrize(
    ("difference", "deviation", "seeds"),
    # The first three are textbook values of a paired t-test: effects of 0.2, 0.5 and 0.8.
    [
        (0.2, 1.0, 199),
        (0.5, 1.0, 34),
        (-0.8, 1.0, 15),
        (0.01, 0.0109, 12),
        (0.1, 0.0, 2),
        (1e-5, 1.0, None),
    ],
)
def test_seeds_for_a_difference(difference, deviation, seeds):
    assert seeds_for(difference, deviation) == seeds


def test_power_needs_a_difference_and_a_share():
    with pytest.raises(ValueError, match="other than 0"):
        seeds_for(0.0, 1.0)
    with pytest.raises(ValueError, match="between 0 and 1"):
        seeds_for(1.0, 1.0, power=80.0)


def test_ranks_are_scipys_means():
    scores = {"a": {"x": 0.1, "y": 0.2, "z": 0.2}, "b": {"x": 0.5, "y": 0.1, "z": 0.3}}
    loss = np.mean([stats.rankdata(list(of.values())) for of in scores.values()], axis=0)
    assert list(mean_ranks(scores, "min").values()) == pytest.approx(loss)
    assert list(mean_ranks(scores, "max").values()) == pytest.approx(4 - loss)
    with pytest.raises(ValueError, match="b has no z"):
        mean_ranks({"a": scores["a"], "b": {"x": 1.0, "y": 1.0}}, "max")


def simulated(draw, seeds, queries, of_seeds, of_queries, noise):
    """True score 0: a seed's, a query's and their own randomness."""
    return (
        draw.normal(0, of_seeds, (seeds, 1))
        + draw.normal(0, of_queries, (1, queries))
        + draw.normal(0, noise, (seeds, queries))
    )


@pytest.mark.parametrize(
    ("of_seeds", "of_queries", "noise"), [(0.1, 0.0, 0.1), (0.0, 1.0, 0.1), (0.1, 1.0, 0.5)]
)
def test_the_interval_over_seeds_and_queries_holds_the_truth(of_seeds, of_queries, noise):
    draw, held, tries = np.random.default_rng(1), 0, 300
    for number in range(tries):
        values = simulated(draw, 3, 100, of_seeds, of_queries, noise)
        found = hierarchical_interval(values, np.ones_like(values), samples=200, seed=number)
        held += abs(found.mean) <= found.half_width
    assert held / tries > 0.92


def test_resampling_queries_of_one_seed_is_the_plain_bootstrap():
    draw = np.random.default_rng(2)
    values = (draw.random((1, 400)) < 0.3).astype(float)
    found = hierarchical_interval(values, np.ones_like(values))
    assert found.half_width == pytest.approx(1.96 * statistics.stdev(values[0]) / 20, rel=0.05)


def test_it_is_never_narrower_than_over_seeds():
    values = np.random.default_rng(3).normal(0, 1, (3, 50))
    values += np.array([[0.0], [0.1], [0.3]])
    of_seeds = student_interval(values.mean(1).tolist())
    assert hierarchical_interval(values, np.ones_like(values)).half_width >= of_seeds.half_width


def test_a_mean_over_triplets_weighs_queries_by_theirs():
    weights = np.array([[1.0, 3.0], [1.0, 3.0]])
    found = hierarchical_interval(np.array([[1.0, 0.0], [1.0, 0.0]]), weights)
    assert found.mean == 0.25
    assert found.half_width > 0


def test_blocks_of_samples_are_as_one(monkeypatch):
    values = np.random.default_rng(4).random((3, 40))
    whole = hierarchical_interval(values, np.ones_like(values))
    monkeypatch.setattr("ranklight.studies.bootstrap._BLOCK", 40 * 150)
    parts = hierarchical_interval(values, np.ones_like(values))
    assert parts.half_width == pytest.approx(whole.half_width, rel=0.1)


def test_no_queries_are_refused():
    with pytest.raises(ValueError, match="got 0 of 2 seeds"):
        hierarchical_interval(np.ones((2, 0)), np.ones((2, 0)))
