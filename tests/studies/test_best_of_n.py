from itertools import combinations
from statistics import fmean

import pytest

from ranklight.studies.best_of_n import expected_best_of_n

SCORES = [0.3, 0.1, 0.4, 0.1, 0.5]


@pytest.mark.parametrize(("mode", "best"), [("max", max), ("min", min)])
def test_is_the_mean_over_all_ways_to_pick_n(mode, best):
    by_hand = [fmean(map(best, combinations(SCORES, n))) for n in range(1, len(SCORES) + 1)]
    assert expected_best_of_n(SCORES, mode) == pytest.approx(by_hand)


def test_of_hundreds_of_trials_it_stays_finite():
    curve = expected_best_of_n([n / 299 for n in range(300)], "max")
    assert curve[0] == pytest.approx(0.5)
    assert curve[-1] == 1
    assert curve == sorted(curve)


def test_without_trials_there_is_none():
    with pytest.raises(ValueError, match="one trial or more; got none"):
        expected_best_of_n([], "max")
