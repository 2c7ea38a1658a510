import pytest
import torch

from ranklight.models import AttentionPool, AverageMaxPool, AveragePool, GeM, MaxPool

MAPS = torch.rand(3, 8, 4, 5, dtype=torch.float64) + 0.1


def test_average_and_maximum():
    torch.testing.assert_close(AveragePool()(MAPS), MAPS.mean((2, 3)))
    torch.testing.assert_close(MaxPool()(MAPS), MAPS.amax((2, 3)))
    torch.testing.assert_close(AverageMaxPool()(MAPS), MAPS.mean((2, 3)) + MAPS.amax((2, 3)))


def test_generalised_mean_is_that_of_the_formula():
    pool = GeM().double()
    assert pool.p.item() == 3
    for image, row in zip(MAPS, pool(MAPS), strict=True):
        for channel, value in zip(image, row, strict=True):
            places = channel.flatten().tolist()
            expected = (sum(x**3 for x in places) / len(places)) ** (1 / 3)
            assert value.item() == pytest.approx(expected, rel=1e-6)


def test_generalised_mean_lies_between_average_and_maximum():
    torch.testing.assert_close(GeM(1.0)(MAPS), MAPS.mean((2, 3)))
    torch.testing.assert_close(GeM(500.0)(MAPS), MAPS.amax((2, 3)), rtol=1e-2, atol=0)


def test_p_learns_if_asked():
    pool = GeM()
    assert torch.autograd.gradcheck(
        lambda p: torch.func.functional_call(pool, {"p": p}, MAPS),
        (torch.tensor(2.5, dtype=torch.float64, requires_grad=True),),
    )
    assert not GeM(learn=False).p.requires_grad


def test_maps_of_zeros_have_a_gradient():
    maps = torch.zeros(1, 2, 3, 3, requires_grad=True)
    pool = GeM()
    pool(maps).sum().backward()
    assert pool.p.grad.isfinite()
    assert maps.grad.isfinite().all()


def test_generalised_mean_of_large_half_precision_is_finite():
    maps = torch.full((1, 2, 3, 3), 60.0, dtype=torch.float16)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(GeM()(maps), torch.full((1, 2), 60.0))


@pytest.mark.parametrize("p", [0.0, -1.0])
def test_p_must_be_positive(p):
    with pytest.raises(ValueError, match="p must be above 0"):
        GeM(p)


def test_attention_is_that_of_the_formula():
    pool = AttentionPool(heads=2)
    pool.complete(8)
    pool.double()
    weights, bias = pool.attention.in_proj_weight.chunk(3), pool.attention.in_proj_bias.chunk(3)
    places = MAPS[0].flatten(1).T
    query = weights[0] @ pool.query[0, 0] + bias[0]
    keys, values = (places @ weights[i].T + bias[i] for i in (1, 2))
    found = []
    for head in range(2):
        own = slice(4 * head, 4 * head + 4)
        share = (keys[:, own] @ query[own] / 2).softmax(0)
        found.append(share @ values[:, own])
    torch.testing.assert_close(pool(MAPS)[0], pool.attention.out_proj(torch.cat(found)))


def test_channels_must_be_divisible_among_heads():
    with pytest.raises(ValueError, match="12 channels of the trunk are no multiple of 8 heads"):
        AttentionPool().complete(12)


def test_there_is_a_head():
    with pytest.raises(ValueError, match="heads must be 1 to"):
        AttentionPool(heads=0)
