"""What of an optimizer may change when a run goes on."""

import pytest

from ranklight.running.save_config import _check_rates, _override


def tree(**arguments):
    return {"model": {"init_args": arguments}}


@pytest.mark.parametrize(
    ("then", "now"),
    [
        ({"rates": None}, {"rates": {"encoder.trunk": 0.1}}),
        ({"rates": {"encoder.trunk": 0.1}}, {"rates": {"encoder.trunk": 0.2}}),
        ({}, {"decay_norms_and_biases": False}),
    ],
)
def test_parts_that_changed_are_refused(then, now):
    with pytest.raises(ValueError, match="leave it as it was"):
        _check_rates(tree(**then), tree(**now))
    _check_rates(tree(**now), tree(**now))


def test_a_new_weight_decay_leaves_that_of_a_part():
    groups = [
        {"lr": 1.0, "weight_decay": 0.5, "own_weight_decay": own, "initial_lr": 2.0}
        for own in (False, True)
    ]
    checkpoint = {"optimizer_states": [{"param_groups": groups}]}
    _override(checkpoint, "weight_decay", 0.5, 0.1)
    _override(checkpoint, "lr", 1.0, 3.0)
    assert [group["weight_decay"] for group in groups] == [0.1, 0.5]
    assert [(group["lr"], group["initial_lr"]) for group in groups] == [(3.0, 6.0)] * 2
