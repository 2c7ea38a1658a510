import numpy as np
import pytest
from scipy.stats import chisquare

from ranklight.datamodules.samplers import total_relevance
from ranklight.datamodules.samplers.triplet_buffers import TripletBuffers, TripletRule

CLASSES = np.repeat(np.arange(3), [8, 12, 6])


def nothing(i, j):
    return np.zeros(len(i))


def relevance(seed=0, classes=CLASSES):
    rng = np.random.default_rng(seed)
    table = rng.random((len(classes), len(classes))) ** 2
    table = (table + table.T) / 2
    np.fill_diagonal(table, 1)
    return np.where(classes[:, None] == classes, table, 0)


def buffers_of(table, size, rule=None, classes=CLASSES, seed=0):
    def of_pairs(i, j):
        return table[i, j]

    total = total_relevance(of_pairs, classes)
    buffers = TripletBuffers(int(classes.max()) + 1, size, of_pairs, rule, seed)
    return buffers, total


def target(table, rule):
    """P(query), P(positive | query) and P(in-class negative | query, positive), by loops."""
    n = len(table)
    queries, positives = np.zeros(n), np.zeros((n, n))
    for i in range(n):
        others = [j for j in range(n) if CLASSES[j] == CLASSES[i] and j != i]
        queries[i] = sum(table[i, j] for j in others)
        for j in others:
            positives[i, j] = min(rule.cap, table[i, j])
    return queries / queries.sum(), positives / positives.sum(1, keepdims=True)


def p_value(drawn, expected):
    counted, law = drawn[expected > 0], expected[expected > 0]
    assert counted.sum() == drawn.sum()
    return chisquare(counted, law / law.sum() * counted.sum()).pvalue


def draw_many(buffers, count=100_000):
    return np.concatenate([buffers.draw(5000, part) for part in range(count // 5000)])


def test_frequencies_are_the_papers_target_where_buffers_hold_everything():
    rule, table = TripletRule(out_of_class=0.3, margin=-2.0, cap=0.5), relevance()
    buffers, total = buffers_of(table, 20, rule)
    buffers.add(np.arange(26), CLASSES, total)
    drawn = draw_many(buffers)
    queries, positives = target(table, rule)
    assert p_value(np.bincount(drawn[:, 0], minlength=26), queries) > 1e-3
    pairs = np.zeros((26, 26))
    np.add.at(pairs, (drawn[:, 0], drawn[:, 1]), 1)
    assert p_value(pairs, queries[:, None] * positives) > 1e-3
    inside = CLASSES[drawn[:, 2]] == CLASSES[drawn[:, 0]]
    assert inside.mean() == pytest.approx(0.7, abs=0.01)
    negatives = np.zeros((26, 26))
    np.add.at(negatives, (drawn[inside, 0], drawn[inside, 2]), 1)
    assert p_value(negatives, queries[:, None] * positives) > 1e-3
    for own in range(3):
        others = np.bincount(drawn[~inside & (CLASSES[drawn[:, 0]] == own), 2], minlength=26)
        assert p_value(others, (own != CLASSES) / (own != CLASSES).sum()) > 1e-3


def test_the_papers_rule_leaves_the_target_where_buffers_hold_everything():
    """Its uniform query and 1 / r_j undo a weighting that a buffer of all images does not have."""
    rule, table = (
        TripletRule(out_of_class=0.3, margin=-2.0, corrected=False, failure_limit=400),
        relevance(),
    )
    buffers, total = buffers_of(table, 20, rule)
    buffers.add(np.arange(26), CLASSES, total)
    drawn = draw_many(buffers)
    counted = np.bincount(drawn[:, 0], minlength=26)
    queries, _ = target(table, rule)
    of_class = np.bincount(CLASSES, total)
    uniform = (of_class / np.bincount(CLASSES))[CLASSES] / of_class.sum()
    assert p_value(counted, queries) < 1e-6
    assert p_value(counted, uniform) > 1e-3
    first = drawn[drawn[:, 0] == 9, 1]
    law = np.where((CLASSES == 1) & (np.arange(26) != 9), table[9] / total, 0)
    assert p_value(np.bincount(first, minlength=26), law) > 1e-3


@pytest.mark.parametrize(("corrected", "limit"), [(True, 100), (False, 2000)])
def test_small_buffers_come_near_the_target(corrected, limit):
    classes = np.zeros(400, np.int64)
    values = np.random.default_rng(0).random(400)
    table = np.outer(values, values)
    rule = TripletRule(
        out_of_class=0, margin=-2.0, corrected=corrected, failure_limit=4000 - 3900 * corrected
    )
    drawn = []
    for epoch in range(100):
        buffers, total = buffers_of(table, 40, rule, classes)
        buffers.add(np.arange(400), classes, total, epoch)
        drawn.append(buffers.draw(50, epoch)[:, 0])
    tenth = (values * 10).astype(np.int64)
    counted = np.bincount(tenth[np.concatenate(drawn)], minlength=10)
    wanted = np.bincount(tenth, total, minlength=10) / total.sum()
    assert np.abs(counted / counted.sum() - wanted).sum() / 2 < 0.05


def test_buffers_are_a_weighted_sample_in_one_pass_however_it_is_cut():
    classes, weights = np.zeros(6, np.int64), np.array([1.0, 1, 2, 4, 8, 0])
    kept = np.zeros(6)
    for epoch in range(3000):
        whole = TripletBuffers(1, 2, nothing, TripletRule(out_of_class=0.0), seed=1)
        whole.add(np.arange(6), classes, weights, epoch)
        kept[whole._image[0]] += 1
        if epoch % 300 == 0:
            parts = TripletBuffers(1, 2, nothing, TripletRule(out_of_class=0.0), seed=1)
            for part in np.split(np.arange(6), [1, 2, 5]):
                parts.add(part, classes[part], weights[part], epoch)
            assert np.array_equal(parts._image, whole._image)
            assert np.array_equal(parts._left_out, whole._left_out)
    chance = np.zeros(6)
    p = weights / 16
    for i in range(5):
        for j in range(5):
            if i != j:
                both = p[i] * p[j] / (1 - p[i])
                chance[[i, j]] += both
    assert kept[5] == 0
    assert np.abs(kept / 3000 - chance).max() < 0.035


def test_margin_and_uniform_drawing():
    table = relevance()
    buffers, total = buffers_of(table, 20, TripletRule(out_of_class=0.0, margin=0.2))
    buffers.add(np.arange(26), CLASSES, total)
    q, p, n = buffers.draw(3000).T
    assert (table[q, p] - table[q, n] >= 0.2).all()
    assert (CLASSES[q] == CLASSES[n]).all()
    assert 0 < buffers.counts["accepted"] <= buffers.counts["proposed"]
    buffers, total = buffers_of(
        table, 20, TripletRule(out_of_class=1.0, margin=0.2, weighted=False)
    )
    buffers.add(np.arange(26), CLASSES, total)
    q, p, n = buffers.draw(50_000).T
    assert (CLASSES[q] != CLASSES[n]).all()
    assert p_value(np.bincount(q, minlength=26), np.full(26, 1 / 26)) > 1e-3
    law = (CLASSES == 1) & (np.arange(26) != 9)
    assert p_value(np.bincount(p[q == 9], minlength=26), law / law.sum()) > 1e-3


def test_a_stream_longer_than_the_buffers():
    buffers = TripletBuffers(5, 8, lambda i, j: np.full(len(i), 0.5), TripletRule(margin=0.0))
    for number in range(50):
        images = np.arange(100) + 100 * number
        buffers.add(images, images % 5, np.ones(100))
        triplets = buffers.draw(4, number)
        assert triplets.max() < (number + 1) * 100
        assert (triplets[:, 0] % 5 == triplets[:, 1] % 5).all()
    held = sum(value.nbytes for value in vars(buffers).values() if isinstance(value, np.ndarray))
    assert held < 5 * 8 * 50
    assert 1000 < buffers.age < 4000


def test_nothing_relevant_is_said():
    zero = np.zeros((26, 26))
    buffers, total = buffers_of(zero, 20)
    buffers.add(np.arange(26), CLASSES, total)
    with pytest.raises(ValueError, match="relevance is 0 for every candidate"):
        buffers.draw(3)
    table = relevance()
    buffers, total = buffers_of(table, 20, TripletRule(margin=5.0, out_of_class=0, failure_limit=3))
    buffers.add(np.arange(26), CLASSES, total)
    with pytest.raises(ValueError, match=r"3 of 3 triplets were not found .* margin of 5.0"):
        buffers.draw(3)


@pytest.mark.parametrize(
    ("classes", "size", "rule", "message"),
    [
        (2, 1, TripletRule(), "at least 2 images"),
        (1, 5, TripletRule(), "needs a second class"),
        (2, 5, TripletRule(out_of_class=1.5), "share"),
        (2, 5, TripletRule(failure_limit=0), "failure_limit at least 1"),
    ],
)
def test_bad_rules_are_refused(classes, size, rule, message):
    with pytest.raises(ValueError, match=message):
        TripletBuffers(classes, size, nothing, rule)
