"""Rules of label decision: what each says, what it learns, and what it refuses."""

import itertools

import pytest
import torch
from torch import nn

from ranklight.models import (
    Examples,
    GlobalThreshold,
    LabelCount,
    LearnedThreshold,
    PerClassThreshold,
    TopK,
    top_labels,
)
from ranklight.models.decisions.rule import check_examples

CLASSES, FEATURES = 5, 8
RULES = {
    "top_k": lambda: TopK(2),
    "global_threshold": GlobalThreshold,
    "per_class_threshold": lambda: PerClassThreshold(CLASSES),
    "label_count": lambda: LabelCount(CLASSES, FEATURES, steps=60),
    "label_count_poisson": lambda: LabelCount(CLASSES, FEATURES, loss="poisson", steps=60),
    "label_count_squared": lambda: LabelCount(CLASSES, FEATURES, loss="squared", steps=60),
    "learned_threshold": lambda: LearnedThreshold(CLASSES, FEATURES, steps=60),
    "both_inputs": lambda: LearnedThreshold(CLASSES, FEATURES, (16,), "both", steps=60),
}
LEARNT = [name for name in RULES if name != "top_k"]


@pytest.fixture
def images():
    """Features tell how many labels there are and how far all scores are moved up."""
    draw = torch.Generator().manual_seed(0)
    features = torch.randn(400, FEATURES, generator=draw)
    counts = (features[:, 0] > 0).long() * 2 + (features[:, 1] > 0).long() + 1
    scores = torch.randn(400, CLASSES, generator=draw)
    targets = top_labels(scores, counts).float()
    return Examples(scores + 3 * features[:, 2:3], features, targets)


@pytest.mark.parametrize("name", RULES)
def test_it_is_fitted_once_fit(name, images):
    rule = RULES[name]()
    assert bool(rule.fitted) == (name == "top_k")
    rule.fit(images)
    assert bool(rule.fitted)
    decided = rule(*images[:2])
    assert decided.dtype == torch.bool
    assert decided.shape == images[0].shape


@pytest.mark.parametrize("name", LEARNT)
def test_it_is_refused_before_it_was_fitted(name, images):
    with pytest.raises(RuntimeError, match="decides before it was fitted"):
        RULES[name]()(*images[:2])


@pytest.mark.parametrize("name", RULES)
def test_the_state_holds_all_that_was_learnt(name, images):
    rule, other = RULES[name](), RULES[name]()
    rule.fit(images)
    other.load_state_dict(rule.state_dict())
    assert torch.equal(rule(*images[:2]), other(*images[:2]))


@pytest.mark.parametrize("name", RULES)
def test_nothing_depends_on_or_moves_the_global_random_numbers(name, images):
    states = []
    for start in (1, 2):
        torch.manual_seed(start)
        before = torch.get_rng_state()
        rule = RULES[name]()
        rule.fit(images, seed=3)
        assert torch.equal(before, torch.get_rng_state())
        states.append(rule.state_dict())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


@pytest.mark.parametrize("name", ["label_count", "learned_threshold"])
def test_another_seed_is_another_head(name, images):
    first, second = RULES[name](), RULES[name]()
    first.fit(images, seed=0)
    second.fit(images, seed=1)
    assert not torch.equal(first.head.layers[0].weight, second.head.layers[0].weight)


@pytest.mark.parametrize("name", RULES)
def test_gradients_are_never_asked_for(name, images):
    rule = RULES[name]()
    assert not any(parameter.requires_grad for parameter in rule.parameters())
    with torch.inference_mode():
        rule.fit(Examples(*(part.clone() for part in images)))
    assert not any(parameter.requires_grad for parameter in rule.parameters())


@pytest.mark.parametrize("name", LEARNT)
def test_no_images_are_refused(name, images):
    with pytest.raises(ValueError, match="needs images"):
        RULES[name]().fit(Examples(*(part[:0] for part in images)))


def test_what_does_not_belong_together_is_refused(images):
    scores, features, targets = images
    for part in [(scores[:9], features, targets), (scores, features[:9], targets)]:
        with pytest.raises(ValueError, match="GlobalThreshold needs images, a score and a target"):
            check_examples(GlobalThreshold(), Examples(*part))


def test_top_labels():
    scores = torch.tensor([[1.0, 3.0, 2.0], [5.0, 5.0, 5.0], [0.0, 1.0, 2.0]])
    decided = top_labels(scores, torch.tensor([2, 1, 0]))
    assert decided.tolist() == [[False, True, True], [True, False, False], [False, False, False]]
    assert top_labels(scores, torch.tensor([3, 3, 3])).all()


def f1(decided, targets):
    """Of one class, from two lists."""
    known = [(d, t) for d, t in zip(decided, targets, strict=True) if t >= 0]
    correct = sum(d and t == 1 for d, t in known)
    total = sum(d for d, _ in known) + sum(t == 1 for _, t in known)
    return 2 * correct / total if total else 0.0


@pytest.mark.parametrize("seed", range(4))
def test_no_threshold_is_better_than_the_fitted_ones(seed):
    draw = torch.Generator().manual_seed(seed)
    scores = (torch.randn(30, 4, generator=draw) * 2).round() / 2
    targets = torch.randint(-1, 2, (30, 4), generator=draw).float()
    features = torch.zeros(30, 1)
    each, one = PerClassThreshold(4), GlobalThreshold()
    each.fit(Examples(scores, features, targets))
    one.fit(Examples(scores, features, targets))
    candidates = [value - 0.25 for value in sorted(set(scores.flatten().tolist()))] + [99.0]

    def of_class(decided, k):
        return f1(decided[:, k].tolist(), targets[:, k].tolist())

    means = []
    for threshold in candidates:
        means.append(sum(of_class(scores > threshold, k) for k in range(4)) / 4)
    for k in range(4):
        best = max(of_class(scores > threshold, k) for threshold in candidates)
        assert of_class(each(scores, features), k) == pytest.approx(best)
    found = sum(of_class(one(scores, features), k) for k in range(4)) / 4
    assert found == pytest.approx(max(means))


def test_thresholds_lie_between_two_scores():
    scores = torch.tensor([[4.0, 1.0], [2.0, 1.0], [1.0, 1.0]])
    targets = torch.tensor([[1.0, 1.0], [1.0, 1.0], [0.0, 1.0]])
    rule = PerClassThreshold(2)
    rule.fit(Examples(scores, scores, targets))
    assert rule.threshold[0] == 1.5
    assert rule(scores, scores).tolist() == [[True, True], [True, True], [False, True]]


def test_neighbouring_floats_are_told_apart():
    upper = torch.tensor(1.0)
    for _ in range(3):
        lower, upper = upper, upper.nextafter(torch.tensor(2.0))
        scores = torch.stack([upper, lower]).unsqueeze(1)
        rule = PerClassThreshold(1)
        rule.fit(Examples(scores, scores, torch.tensor([[1.0], [0.0]])))
        assert rule(scores, scores).tolist() == [[True], [False]]


def test_a_class_without_positives_is_never_said():
    scores = torch.randn(9, 2)
    targets = torch.stack([torch.zeros(9), torch.ones(9)], 1)
    rule = PerClassThreshold(2)
    rule.fit(Examples(scores, scores, targets))
    assert rule(scores + 100, scores)[:, 0].sum() == 0
    assert rule(scores, scores)[:, 1].all()
    nothing = GlobalThreshold()
    nothing.fit(Examples(scores, scores, torch.zeros(9, 2)))
    assert nothing(scores + 100, scores).sum() == 0


@pytest.mark.parametrize("loss", ["cross_entropy", "poisson", "squared"])
def test_the_number_of_labels_is_learnt(loss, images):
    rule = LabelCount(CLASSES, FEATURES, loss=loss)
    rule.fit(images)
    truth = images[2].sum(1).long()
    assert (rule.counts(*images[:2]) == truth).float().mean() > 0.9
    assert torch.equal(rule(*images[:2]).sum(1), rule.counts(*images[:2]))


def test_a_threshold_follows_the_features(images):
    rule, fixed = LearnedThreshold(CLASSES, FEATURES), PerClassThreshold(CLASSES)
    exact = {}
    for each in (rule, fixed):
        each.fit(images)
        exact[each] = (each(*images[:2]) == (images[2] > 0)).all(1).float().mean()
    assert exact[rule] > 0.4 > 0.2 > exact[fixed]
    assert torch.equal(rule(*images[:2]), images[0] > rule.thresholds(*images[:2]))


def test_the_gradient_of_the_threshold_is_its_equation(images, monkeypatch):
    scores, features, targets = (part[:6] for part in images)
    targets = targets.clone()
    targets[0, 0] = -1
    rule = LearnedThreshold(CLASSES, FEATURES)
    costs = []
    monkeypatch.setattr(rule.head, "learn", lambda inputs, cost, seed: costs.append(cost))
    rule.fit(Examples(scores, features, targets))
    outputs, rows = torch.randn(3, CLASSES), torch.tensor([4, 0, 2])
    total = known = 0.0
    for o, i in itertools.product(range(3), range(CLASSES)):
        threshold = scores[:, i].mean() + outputs[o, i]
        margin, target = scores[rows[o], i] - threshold, targets[rows[o], i]
        if target >= 0:
            total += torch.log1p(torch.exp(-margin if target == 1 else margin)).item()
            known += 1
    assert costs[0](outputs, rows).item() == pytest.approx(total / known, rel=1e-5)


@pytest.mark.parametrize("allow_zero", [True, False])
@pytest.mark.parametrize("loss", ["cross_entropy", "poisson", "squared"])
def test_images_without_labels_and_with_all(loss, allow_zero):
    """Feature 0 says none, feature 1 all."""
    features = torch.eye(2).repeat(50, 1)
    targets = torch.tensor([[0.0] * 5, [1.0] * 5]).repeat(50, 1)
    rule = LabelCount(5, 2, max_count=4, allow_zero=allow_zero, loss=loss, steps=300)
    rule.fit(Examples(torch.randn(100, 5), features, targets))
    counts = rule.counts(torch.zeros(2, 5), torch.eye(2))
    assert counts.tolist() == [0 if allow_zero else 1, 4]


@pytest.mark.parametrize(("most", "classes"), [(6, 5), (0, 5)])
def test_more_labels_than_classes_are_refused_when_built(most, classes):
    with pytest.raises(ValueError, match="max_count must be"):
        LabelCount(classes, FEATURES, max_count=most)


def test_more_labels_than_classes_are_refused_by_top_k(images):
    with pytest.raises(ValueError, match="6 labels of only 5 classes"):
        TopK(6).fit(images)
    with pytest.raises(ValueError, match="6 labels of only 5 classes"):
        TopK(6)(*images[:2])
    with pytest.raises(ValueError, match="k must be 1"):
        TopK(0)


@pytest.mark.parametrize(
    "rule",
    [PerClassThreshold(3), LabelCount(3, FEATURES, 2), LearnedThreshold(3, FEATURES)],
    ids=lambda rule: type(rule).__name__,
)
def test_another_number_of_classes_is_refused(rule, images):
    with pytest.raises(ValueError, match=r"3 classes; the scores have 5"):
        rule.fit(images)


def test_features_of_another_size_are_refused(images):
    with pytest.raises(ValueError, match="built for 9 inputs; there are 8"):
        LabelCount(CLASSES, 9).fit(images)


def test_labels_that_are_partly_unknown_cannot_be_counted(images):
    targets = images[2].clone()
    targets[:7, 2] = -1
    with pytest.raises(ValueError, match="7 of 400 images have unknown ones"):
        LabelCount(CLASSES, FEATURES).fit(images._replace(targets=targets))


def test_defaults_are_the_papers():
    count, threshold = LabelCount(20, 512), LearnedThreshold(20, 512)
    for head, outputs in ((count.head, 4), (threshold.head, 20)):
        linear = [layer for layer in head.layers if isinstance(layer, nn.Linear)]
        assert [layer.out_features for layer in linear] == [100, 10, outputs]
