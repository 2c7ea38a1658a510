import pytest
import torch
from torch import nn

from ranklight.models import SmallConvNet


def test_small_net_treats_each_image_alone():
    net = SmallConvNet()
    images = torch.randn(6, 1, 32, 32)
    torch.testing.assert_close(net(images)[:2], net(images[:2]))
    assert not any(isinstance(module, nn.BatchNorm2d) for module in net.modules())


def test_with_coordinates_the_first_layer_sees_where_each_pixel_is():
    net = SmallConvNet(width=8, coordinates=True)
    seen = []
    net.layers.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    images = torch.rand(2, 1, 8, 9)
    net(images)
    assert torch.equal(seen[0][:, :1], images)
    across = torch.linspace(-1, 1, 9)
    assert torch.equal(seen[0][:, 1], across.expand(2, 8, 9))
    down = torch.linspace(-1, 1, 8).unsqueeze(1)
    assert torch.equal(seen[0][:, 2], down.expand(2, 8, 9))


def test_pictures_of_other_channels_are_refused():
    SmallConvNet(3).complete((3, 32, 32))
    with pytest.raises(ValueError, match=r"for pictures of 1 channels, .* have 3: set in_channels"):
        SmallConvNet().complete((3, 32, 32))
