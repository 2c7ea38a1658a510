import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ranklight.models import Encoder, Pixels, SmallConvNet, TimmTrunk, TorchvisionTrunk, pool


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "squeezenet1_0", "swin_t"])
def test_torchvision_networks_give_feature_maps(name):
    trunk = TorchvisionTrunk(name)
    maps = trunk(torch.zeros(2, 3, 64, 64))
    assert maps.ndim == 4
    assert maps.shape[:2] == (2, trunk.channels)


def test_the_map_is_what_the_network_pools():
    torch.manual_seed(0)
    trunk = TorchvisionTrunk("resnet18").eval()
    torch.manual_seed(0)
    import torchvision

    network = torchvision.models.resnet18().eval()
    images = torch.randn(2, 3, 64, 64)
    logits = network.fc(pool(trunk(images), "average"))
    torch.testing.assert_close(logits, network(images))


def test_unknown_trunk_names_its_neighbours():
    with pytest.raises(ValueError, match=r"no trunk 'resnet-50'.*resnet50"):
        TorchvisionTrunk("resnet-50")


def test_transformer_without_a_map_is_refused():
    with pytest.raises(ValueError, match="vit_b_16 has no feature map"):
        TorchvisionTrunk("vit_b_16")


def test_weights_from_a_file(tmp_path):
    import torchvision

    network = torchvision.models.resnet18()
    torch.save(network.state_dict(), tmp_path / "resnet18.pth")
    trunk = TorchvisionTrunk("resnet18", weights=str(tmp_path / "resnet18.pth"))
    assert torch.equal(trunk.body.get_parameter("conv1.weight"), network.conv1.weight)


def test_missing_weights_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"resnet18.*nowhere\.pth"):
        TorchvisionTrunk("resnet18", weights=str(tmp_path / "nowhere.pth"))


def test_weights_that_cannot_be_fetched_name_the_file_to_bring(monkeypatch, tmp_path):
    def no_network(*_args, **_kwargs):
        raise OSError("no network")

    monkeypatch.setattr("torch.hub.download_url_to_file", no_network)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"Bring resnet18-\w+\.pth"):
        TorchvisionTrunk("resnet18", weights="DEFAULT")


@pytest.mark.parametrize(
    "name", ["resnet18", "vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"]
)
def test_timm_trunks_say_how_many_channels_their_maps_have(name):
    trunk = TimmTrunk(name)
    assert trunk(torch.zeros(1, 3, 224, 224)).shape[1] == trunk.channels


def test_pooling():
    maps = torch.tensor([[[[1.0, 3.0], [0.0, 4.0]]]])
    assert pool(maps, "average").item() == 2
    assert pool(maps, "max").item() == 4
    assert pool(maps, "both").item() == 6


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


def test_small_net_treats_each_image_alone():
    net = SmallConvNet()
    images = torch.randn(6, 1, 32, 32)
    torch.testing.assert_close(net(images)[:2], net(images[:2]))
    assert not any(isinstance(module, nn.BatchNorm2d) for module in net.modules())


def test_pixels():
    images = torch.rand(3, 1, 4, 4)
    assert torch.equal(Pixels(normalize=False)(images), images.flatten(1))
    assert torch.allclose(Pixels()(images).norm(dim=1), torch.ones(3))


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
