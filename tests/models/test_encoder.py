import pytest
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from ranklight.models import (
    Encoder,
    FeatureMap,
    GeM,
    Pixels,
    SmallConvNet,
    TimmTrunk,
    TorchvisionTrunk,
)


@pytest.mark.parametrize("normalize", [True, False])
def test_embeddings_are_unit_vectors_if_asked(normalize):
    encoder = Encoder(SmallConvNet(), embedding_dim=16, normalize=normalize)
    lengths = encoder(torch.randn(4, 1, 32, 32)).norm(dim=1)
    assert torch.allclose(lengths, torch.ones(4)) == normalize


def test_without_projection_the_pooled_channels_are_the_embedding():
    encoder = Encoder(SmallConvNet(width=8), embedding_dim=None)
    assert encoder(torch.randn(2, 1, 32, 32)).shape == (2, encoder.embedding_dim) == (2, 32)


def test_frozen_batch_norm_keeps_its_statistics_and_the_rest_trains():
    encoder = Encoder(TorchvisionTrunk("resnet18"), 8, freeze_batch_norm=True).train()
    norms = [module for module in encoder.modules() if isinstance(module, _BatchNorm)]
    before = [norm.running_mean.clone() for norm in norms]
    encoder(torch.randn(2, 3, 64, 64))
    assert all(torch.equal(norm.running_mean, old) for norm, old in zip(norms, before, strict=True))
    assert encoder.projection.training
    assert all(norm.weight.requires_grad for norm in norms)


def test_pixels():
    images = torch.rand(3, 1, 4, 4)
    assert torch.equal(Pixels(normalize=False)(images), images.flatten(1))
    assert torch.allclose(Pixels()(images).norm(dim=1), torch.ones(3))


def test_hidden_layers_of_the_projection():
    encoder = Encoder(SmallConvNet(width=8), 4, hidden=[6, 5], normalize=False)
    images = torch.rand(2, 1, 32, 32)
    vectors = encoder.trunk(images).mean((2, 3))
    for layer in (0, 2):
        vectors = encoder.projection[layer](vectors).relu()
    torch.testing.assert_close(encoder(images), encoder.projection[4](vectors))


@pytest.mark.parametrize("sizes", [{"embedding_dim": 0}, {"hidden": [8, 0]}])
def test_sizes_are_from_1(sizes):
    with pytest.raises(ValueError, match="must be 1 to"):
        Encoder(SmallConvNet(), **sizes)


def test_hidden_layers_need_a_projection():
    with pytest.raises(ValueError, match=r"hidden layers \[6\] belong to a projection"):
        Encoder(SmallConvNet(), None, hidden=[6])


def test_a_generalised_mean_is_not_for_class_tokens():
    with pytest.raises(ValueError, match="with tokens class of the trunk take AveragePool"):
        Encoder(TimmTrunk("test_vit", tokens="class"), 4, GeM())


def test_a_feature_map_is_normalised_as_its_trunk_was_trained():
    trunk = TorchvisionTrunk("resnet18").eval()
    pictures = torch.randint(256, (2, 3, 64, 64), dtype=torch.uint8)
    encoder = FeatureMap(trunk)
    torch.testing.assert_close(encoder(pictures), trunk(encoder.inputs(pictures)))
