"""Verification: are two images of the same class? Scores of all thresholds, and of one."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from ranklight.kernels.checks import check_integers, check_values_are_there, whole
from ranklight.metrics.answers import Apart
from ranklight.metrics.checks import check_floats
from ranklight.metrics.pair_counts import PairCounts, count_pairs, tally_distances
from ranklight.search.embedded import Embedded

FARS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
_95_PERCENT = 1.959963984540054


class VerificationCurve(NamedTuple):
    """The receiver operating characteristic, from accepting no pair to accepting all.

    Args:
        far: False accept rate, the share of pairs of different classes that are accepted.
        tar: True accept rate, the share of pairs of the same class that are.
        squared_distance: Up to where pairs are accepted; −∞ for none.

        >>> counts = tally_distances(torch.tensor([0.1, 0.2]), torch.tensor([True, False]))
        >>> verification_curve(counts).far
        tensor([0., 0., 1.], dtype=torch.float64)
    """

    far: Float[Tensor, "k"]
    tar: Float[Tensor, "k"]
    squared_distance: Float[Tensor, "k"]


class Judgement(NamedTuple):
    """What a threshold gets right.

    Args:
        accuracy: Mean of the shares of same and of different pairs that are judged rightly.
        tar: The share of pairs of the same class that are accepted.
        far: The share of pairs of different classes that are.

        >>> counts = tally_distances(torch.tensor([0.1, 0.2]), torch.tensor([True, False]))
        >>> judge_pairs(counts, 0.15).accuracy
        1.0
    """

    accuracy: float
    tar: float
    far: float


def evaluate_verification(
    queries: Embedded,
    gallery: Embedded | None = None,
    fars: Sequence[float] = FARS,
    apart: Apart = "image",
) -> dict[str, float]:
    """Scores of all pairs of images: `score_verification` of `count_pairs`; collective.

        >>> rows = Embedded(torch.tensor([[0.0], [1.0], [3.0], [9.0]]), torch.tensor([0, 0, 1, 1]))
        >>> scores = evaluate_verification(rows, fars=(0.5,))
        >>> scores["auc"], scores["tar@5e-1"]
        (0.75, 1.0)

    Args:
        queries: One side of each pair, labelled by integer classes.
        gallery: The other side; if None, every two of the queries are a pair.
        fars: The false accept rates at which the true accept rate is scored.
        apart: What is no pair, see `count_pairs`.

    Raises:
        ValueError: As `count_pairs` and `score_verification`.
    """
    return score_verification(count_pairs(queries, gallery, apart), fars)


def score_verification(counts: PairCounts, fars: Sequence[float] = FARS) -> dict[str, float]:
    """Scores of pairs over all thresholds.

    - `auc`: the probability that a pair of the same class is nearer than one of different classes,
      ties counted half: the area under the curve.
    - `eer`: the equal error rate: the mean of FAR and 1 − TAR where they differ least, at the
      first such threshold, as torchmetrics has it; nothing is interpolated.
    - `tar@1e-3`: the largest TAR of all thresholds with FAR ≤ 1e-3, and its 95 % bounds
      `.../low` and `.../high` by `wilson_interval`.
    - `far_resolution`: 1 over the number of pairs of different classes, the smallest FAR that they
      can tell from 0. TAR at a smaller one is left out.
    - `same_pairs`, `different_pairs`: how many there are.

    Wilson's bounds take pairs for independent. Pairs that share an image are not, so they are too
    narrow where few images make many pairs: `bootstrap_identities` draws classes.

    ISO/IEC 19795-1 has the terms; Grother, Ngan, Hanaoka: Face Recognition Vendor Test, NIST IR
    8238, the protocol of all pairs.

        >>> same = torch.tensor([True, False, True])
        >>> counts = tally_distances(torch.tensor([0.1, 0.2, 0.4]), same)
        >>> scores = score_verification(counts, fars=(1.0,))
        >>> scores["auc"], scores["eer"], scores["tar@1e0"]
        (0.5, 0.25, 1.0)

    Args:
        counts: Of the pairs.
        fars: The false accept rates at which the true accept rate is scored, above 0 and at most 1.

    Raises:
        ValueError: All pairs are of one kind, or a FAR is none.
    """
    check_fars(fars)
    curve = verification_curve(counts)
    same, different = int(counts.same.sum()), int(counts.different.sum())
    scores = {"auc": float(torch.trapezoid(curve.tar, curve.far)), "eer": _equal_error_rate(curve)}
    for far in fars:
        if far >= 1 / different:
            name, tar = f"tar@{far_name(far)}", float(curve.tar[curve.far <= far][-1])
            low, high = wilson_interval(round(tar * same), same)
            scores |= {name: tar, f"{name}/low": low, f"{name}/high": high}
    pairs = {"same_pairs": float(same), "different_pairs": float(different)}
    return scores | {"far_resolution": 1 / different} | pairs


def verification_curve(counts: PairCounts) -> VerificationCurve:
    """FAR and TAR of every threshold.

        TAR(t) = #{same: d² ≤ t} / #same,    FAR(t) = #{different: d² ≤ t} / #different

    The same as scikit-learn's roc_curve of S = 1 − ½ d² with `drop_intermediate=False`.

        >>> same = torch.tensor([True, False, True])
        >>> counts = tally_distances(torch.tensor([0.1, 0.2, 0.4]), same)
        >>> verification_curve(counts).tar.tolist()
        [0.0, 0.5, 0.5, 1.0]

    Args:
        counts: Of the pairs.

    Raises:
        TypeError: Counts are no integers, or distances no floats.
        ValueError: All pairs are of one kind, a count is negative, or distances do not ascend.
    """
    same, different = _checked(counts)
    rates = [
        torch.cat([accepted.new_zeros(1), accepted.cumsum(0)]).double() / accepted.sum()
        for accepted in (different, same)
    ]
    distance = counts.squared_distance.double()
    none = distance.new_full((1,), -torch.inf)
    return VerificationCurve(rates[0], rates[1], torch.cat([none, distance]))


def fit_threshold(counts: PairCounts) -> float:
    """The squared distance up to which two images are taken for the same class.

    Of all thresholds it has the best `accuracy` of `judge_pairs`, the first of several, and lies
    midway between the last distance that is accepted and the next.

        >>> same = torch.tensor([True, True, False])
        >>> counts = tally_distances(torch.tensor([0.1, 0.2, 0.4]), same)
        >>> round(fit_threshold(counts), 3)
        0.3

    Args:
        counts: Of pairs for validation.

    Raises:
        ValueError: As `verification_curve`.
    """
    curve = verification_curve(counts)
    best = int((curve.tar - curve.far)[1:].argmax()) + 1
    return float(curve.squared_distance[best : best + 2].mean())


def judge_pairs(counts: PairCounts, threshold: float) -> Judgement:
    """What a threshold of squared distance gets right.

        accuracy = ½ (TAR + 1 − FAR)

    is the share of pairs that are judged rightly where there are as many of either kind, as in LFW;
    where there are not, either kind counts half.

        >>> same = torch.tensor([True, False, True])
        >>> counts = tally_distances(torch.tensor([0.1, 0.2, 0.4]), same)
        >>> judge_pairs(counts, 0.3)
        Judgement(accuracy=0.25, tar=0.5, far=1.0)

    Args:
        counts: Of the pairs.
        threshold: Of `fit_threshold`; larger accepts more.

    Raises:
        ValueError: As `verification_curve`, or the threshold is NaN.
    """
    if threshold != threshold:
        raise ValueError("a threshold must be a number; got NaN")
    curve = verification_curve(counts)
    accepted = int((curve.squared_distance <= threshold).sum()) - 1
    tar, far = float(curve.tar[accepted]), float(curve.far[accepted])
    return Judgement((tar + 1 - far) / 2, tar, far)


def fold_accuracy(
    squared_distance: Float[Tensor, "p"], same: Bool[Tensor, "p"], folds: Int[Tensor, "p"]
) -> tuple[float, float]:
    """Accuracy in each fold at the threshold fitted on all others: the mean and its standard error.

    Huang et al.: Labeled Faces in the Wild, 2007, with ten folds. The standard error is σ/√k of k
    folds, σ² = Σ (accuracy − mean)²/(k − 1). Differs in balancing same and different pairs, which
    are as many in LFW's folds.

        >>> distance = torch.tensor([0.1, 0.4, 0.2, 0.5])
        >>> same, folds = torch.tensor([True, False, True, False]), torch.tensor([0, 0, 1, 1])
        >>> fold_accuracy(distance, same, folds)
        (1.0, 0.0)

    Args:
        squared_distance: Of each pair.
        same: Whether its images are of the same class.
        folds: The fold of each pair.

    Raises:
        ValueError: There is one fold, or one with pairs of one kind only.
    """
    tally_distances(squared_distance, same)  # raises for what are no pairs
    check_values_are_there(squared_distance=squared_distance, folds=folds)
    check_integers(folds=folds)
    if folds.shape != squared_distance.shape:
        raise ValueError(f"{len(squared_distance)} pairs came with {len(folds)} folds")
    numbers = torch.unique(folds.long()).tolist()
    if len(numbers) < 2:
        raise ValueError(f"folds must be two or more; got {len(numbers)}")
    scores = []
    for number in numbers:
        own = folds.long() == number
        rest, held_out = (tally_distances(squared_distance[of], same[of]) for of in (~own, own))
        scores.append(judge_pairs(held_out, fit_threshold(rest)).accuracy)
    accuracy = torch.tensor(scores, dtype=torch.float64)
    return accuracy.mean().item(), (accuracy.std() / len(numbers) ** 0.5).item()


def wilson_interval(
    successes: int, trials: int, normal: float = _95_PERCENT
) -> tuple[float, float]:
    """Bounds of a rate, of which some of the trials succeeded: Wilson's score interval.

        (p + z²/2n ± z √(p(1 − p)/n + z²/4n²)) / (1 + z²/n)

    Wilson: Probable inference, the law of succession, and statistical inference, JASA 1927.

        >>> [round(bound, 3) for bound in wilson_interval(9, 10)]
        [0.596, 0.982]

    Args:
        successes: How many.
        trials: Of how many, 1 or more, independent of each other.
        normal: z; larger is wider. 1.96 makes 95 %.

    Raises:
        TypeError: A number of trials is not whole.
        ValueError: There are no trials, or not 0 to all of them succeeded.
    """
    successes, trials = whole(successes, "successes"), whole(trials, "trials")
    if trials < 1 or not 0 <= successes <= trials:
        raise ValueError(f"0 to all of 1 or more trials succeed; got {successes} of {trials}")
    share, spread = successes / trials, normal**2 / trials
    center, half = share + spread / 2, (share * (1 - share) / trials) + spread / (4 * trials)
    low, high = ((center + sign * normal * half**0.5) / (1 + spread) for sign in (-1, 1))
    return (low if successes else 0.0), (high if successes < trials else 1.0)


def far_name(far: float) -> str:
    """A false accept rate as it stands in names of scores: 1e-3, 2.5e-4."""
    mantissa, exponent = f"{far:e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def check_fars(fars: Sequence[float]) -> None:
    """Raise a ValueError if these are no false accept rates."""
    wrong = [far for far in fars if not 0 < far <= 1]
    if wrong:
        raise ValueError(f"a false accept rate is above 0 and at most 1; got {wrong[0]}")


def _equal_error_rate(curve: VerificationCurve) -> float:
    place = (curve.far + curve.tar - 1).abs().argmin()
    return float((curve.far[place] + 1 - curve.tar[place]) / 2)


def _checked(counts: PairCounts) -> tuple[Shaped[Tensor, "k"], Shaped[Tensor, "k"]]:
    distance, same, different = counts
    check_values_are_there(squared_distance=distance, same=same, different=different)
    check_floats([None], squared_distance=distance)
    check_integers(same=same, different=different)
    same, different = same.long(), different.long()
    if not len(distance) == len(same) == len(different):
        raise ValueError(
            f"{len(distance)} distances need as many counts; got {len(same)} of same and "
            f"{len(different)} of different pairs"
        )
    if (same < 0).any() or (different < 0).any() or not (distance[1:] > distance[:-1]).all():
        raise ValueError("counts must be 0 or more, at distances that ascend")
    if not same.sum() or not different.sum():
        raise ValueError(
            "verification needs pairs of the same class and pairs of different ones; there are "
            f"{int(same.sum())} and {int(different.sum())}"
        )
    return same, different
