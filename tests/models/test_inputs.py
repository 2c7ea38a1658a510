"""Pictures in, what a network was trained with out."""

import pytest
import torch

from ranklight.models import Encoder, Inputs, SmallConvNet, TimmTrunk, TorchvisionTrunk, TwoHeads

PICTURES = torch.randint(256, (2, 3, 8, 8), dtype=torch.uint8)
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.5)


def test_bytes_are_scaled_to_one_then_normalised_by_channel():
    inputs = Inputs(MEAN, STD)(PICTURES)
    for channel in range(3):
        shares = PICTURES[:, channel].double() / 255
        expected = (shares - MEAN[channel]) / STD[channel]
        torch.testing.assert_close(inputs[:, channel].double(), expected, rtol=0, atol=1e-6)


def test_floats_of_zero_to_one_are_taken_as_they_are():
    inputs = Inputs(MEAN, STD)
    torch.testing.assert_close(inputs(PICTURES.float() / 255), inputs(PICTURES))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_the_result_has_the_type_of_the_network(dtype):
    inputs = Inputs(MEAN, STD).to(dtype)(PICTURES)
    assert inputs.dtype == dtype
    exact = (PICTURES.double() / 255 - torch.tensor(MEAN)[:, None, None].to(dtype)) / (
        torch.tensor(STD)[:, None, None].to(dtype)
    )
    rounding = {torch.float16: 2e-3, torch.bfloat16: 2e-2, torch.float64: 1e-6}[dtype]
    torch.testing.assert_close(inputs.double(), exact.double(), rtol=rounding, atol=rounding)


def test_grey_pictures_are_not_spread_over_three_channels():
    with pytest.raises(ValueError, match="takes pictures of 3 channels; got 1"):
        Inputs(MEAN, STD)(PICTURES[:, :1])


@pytest.mark.parametrize(
    ("trunk", "mean"),
    [
        (lambda: TorchvisionTrunk("resnet18"), [0.485, 0.456, 0.406]),
        (lambda: TimmTrunk("tf_efficientnet_lite0"), [0.5, 0.5, 0.5]),
        (lambda: SmallConvNet(3), [0.0]),
    ],
)
def test_an_encoder_normalises_as_its_trunk_was_trained(trunk, mean):
    trunk = trunk()
    encoder = Encoder(trunk, 4).eval()
    torch.testing.assert_close(encoder.inputs.mean.flatten(), torch.tensor(mean))
    pictures = torch.randint(256, (2, 3, 64, 64), dtype=torch.uint8)
    seen = []
    trunk.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    encoder(pictures)
    torch.testing.assert_close(seen[0], encoder.inputs(pictures))


def test_two_heads_normalise_too():
    model = TwoHeads(TorchvisionTrunk("resnet18"), 3, (3, 64, 64), 4).eval()
    pictures = torch.randint(256, (2, 3, 64, 64), dtype=torch.uint8)
    pooled = model.trunk(model.inputs(pictures)).mean((2, 3))
    torch.testing.assert_close(model(pictures).pooled, pooled)


def test_what_an_encoder_normalises_by_is_not_in_its_weights():
    assert not [name for name in Encoder(SmallConvNet(3), 4).state_dict() if "inputs" in name]
