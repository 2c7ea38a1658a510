import pytest
import torch

from ranklight.lightning_modules import InverseTimeLR


def of_one_weight(lr):
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)


def test_it_is_the_recipes_equation_at_every_step():
    optimizer = of_one_weight(0.01)
    schedule = InverseTimeLR(optimizer, decay=1e-4)
    for step in range(5):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(0.01 / (1 + step * 1e-4))
        optimizer.step()
        schedule.step()


def test_a_restored_one_goes_on():
    first, second = of_one_weight(1.0), of_one_weight(1.0)
    straight, resumed = InverseTimeLR(first, 0.5), InverseTimeLR(second, 0.5)
    for _ in range(3):
        first.step()
        straight.step()
    second.load_state_dict(first.state_dict())
    resumed.load_state_dict(straight.state_dict())
    for optimizer, schedule in ((first, straight), (second, resumed)):
        optimizer.step()
        schedule.step()
        assert optimizer.param_groups[0]["lr"] == pytest.approx(1 / 3)


def test_a_growing_rate_is_refused():
    with pytest.raises(ValueError, match="decay is -1"):
        InverseTimeLR(of_one_weight(1.0), -1.0)
