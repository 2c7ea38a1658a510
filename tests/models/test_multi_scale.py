import pytest
import torch
from torch import nn

from ranklight.models import LowResolution, MultiScale, SmallConvNet
from ranklight.models.multi_scale import EIGHT_TO_ONE, FOUR_TO_ONE, AlexNet4096, _Path


@pytest.mark.parametrize(
    ("path", "small", "convolved"), [(FOUR_TO_ONE, 57, 15), (EIGHT_TO_ONE, 29, 8)]
)
def test_default_paths_have_the_printed_sizes(path, small, convolved):
    module = _Path(3, path)
    seen = []
    module.convolution.register_forward_hook(lambda _, given, found: seen.extend([given[0], found]))
    module.pool.register_forward_hook(lambda _, __, found: seen.append(found))
    module(torch.zeros(2, 3, 225, 225))
    assert [tuple(maps.shape[1:]) for maps in seen] == [
        (3, small, small),
        (96, convolved, convolved),
        (96, 4, 4),
    ]


def test_default_network_is_4096_and_3072_to_4096():
    with torch.device("meta"):
        deep = AlexNet4096()
    network = MultiScale(deep, embedding_dim=8)
    assert network.low_dim == 3072
    assert network.projection.in_features == 4096 + 3072
    assert [module.p for module in deep.modules() if isinstance(module, nn.Dropout)] == [0.4, 0.4]
    assert network.dropout.p == 0.4
    assert deep(torch.zeros(1, 3, 225, 225, device="meta")).shape == (1, 4096)


def small(paths=None, dropout=0.0):
    paths = [LowResolution(2, 5, 2, 2, 16, 3, 3, 1)] if paths is None else paths
    return MultiScale(SmallConvNet(width=8), 32, paths, 1, 48, 12, dropout)


def test_small_images():
    network = small().eval()
    images = torch.rand(3, 1, 48, 48)
    embeddings = network(images)
    assert embeddings.shape == (3, network.embedding_dim) == (3, 12)
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(network(images[:1]), embeddings[:1])


def test_embedding_is_that_of_the_formula():
    network, images = small().eval(), torch.rand(2, 1, 48, 48)
    deep = network.deep(images).mean((2, 3))
    low = network.paths[0](images)
    parts = [part / part.norm(dim=1, keepdim=True) for part in (deep, low)]
    projected = torch.cat(parts, 1) @ network.projection.weight.T + network.projection.bias
    expected = projected / projected.norm(dim=1, keepdim=True)
    torch.testing.assert_close(network(images), expected)


def test_without_paths_it_is_the_single_scale_network():
    network = small([])
    assert network.low_dim == 0
    assert network.projection.in_features == 32
    assert network(torch.rand(2, 1, 48, 48)).shape == (2, 12)
