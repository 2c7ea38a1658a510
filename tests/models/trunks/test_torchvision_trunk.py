from copy import deepcopy

import pytest
import torch
import torchvision

from ranklight.models import Encoder, TorchvisionTrunk


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
    network = torchvision.models.resnet18().eval()
    images = torch.randn(2, 3, 64, 64)
    logits = network.fc(trunk(images).mean((2, 3)))
    torch.testing.assert_close(logits, network(images))


def test_unknown_trunk_names_its_neighbours():
    with pytest.raises(ValueError, match=r"no trunk 'resnet-50'.*resnet50"):
        TorchvisionTrunk("resnet-50")


def test_transformer_without_a_map_is_refused():
    with pytest.raises(ValueError, match="vit_b_16 has no feature map"):
        TorchvisionTrunk("vit_b_16")


def test_weights_from_a_file(tmp_path):
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


def test_a_classifier_of_any_classes_is_left_out_and_named(tmp_path):
    network = torchvision.models.resnet18(num_classes=7)
    torch.save(network.state_dict(), tmp_path / "seven.pth")
    with pytest.warns(
        UserWarning, match=r"seven\.pth of resnet18: left out are fc\.bias, fc\.weight"
    ):
        trunk = TorchvisionTrunk("resnet18", weights=str(tmp_path / "seven.pth"))
    for name, value in trunk.body.state_dict().items():
        assert torch.equal(value, network.state_dict()[name])


def test_weights_of_another_network_are_refused_by_three_names(tmp_path):
    torch.save(torchvision.models.resnet34().state_dict(), tmp_path / "r34.pth")
    with pytest.raises(
        ValueError, match=r"Unknown here \(96\): layer1\.2\.conv1\.weight, layer1\.2\.bn1\.w"
    ):
        TorchvisionTrunk("resnet18", weights=str(tmp_path / "r34.pth"))


def test_the_first_parts_rest_with_their_statistics():
    trunk = TorchvisionTrunk("resnet18", freeze=3).train()
    learning = {name.split(".")[1] for name, each in trunk.named_parameters() if each.requires_grad}
    assert learning == {"layer2", "layer3", "layer4"}
    before = {name: value.clone() for name, value in trunk.state_dict().items()}
    trunk(torch.rand(2, 3, 64, 64))
    moved = {
        name.split(".")[1]
        for name, value in trunk.state_dict().items()
        if "running" in name and not torch.equal(value, before[name])
    }
    assert moved == learning


def test_all_of_it_rests():
    trunk = TorchvisionTrunk("resnet18", freeze="whole").train()
    assert not trunk(torch.rand(2, 3, 64, 64)).requires_grad


@pytest.mark.parametrize("freeze", [7, -1])
def test_more_parts_than_there_are_cannot_rest(freeze):
    with pytest.raises(ValueError, match=f"resnet18 has 6 parts.*0 to 6, or whole, got {freeze}"):
        TorchvisionTrunk("resnet18", freeze=freeze)


def test_pictures_that_a_network_cannot_take_are_refused_by_those_that_it_can():
    trunk = TorchvisionTrunk("squeezenet1_0")
    trunk.complete((3, 32, 32))
    with pytest.raises(
        ValueError, match=r"1_0 cannot take pictures of 12 by 12 pixels: it takes sides such as 28;"
    ):
        trunk.complete((3, 12, 12))


def test_googlenet_normalises_once_wherever_its_weights_are_from(monkeypatch):
    network = torchvision.models.googlenet(aux_logits=False, init_weights=False).eval()
    # As torchvision builds it without weights, and with its own.
    for transforms_itself in (False, True):
        network.transform_input = transforms_itself
        built = deepcopy(network)
        monkeypatch.setattr(torchvision.models, "get_model", lambda *_, built=built, **__: built)
        encoder = Encoder(TorchvisionTrunk("googlenet"), None, normalize=False).eval()
        pictures = torch.rand(2, 3, 64, 64)
        published = torchvision.models.GoogLeNet_Weights.DEFAULT.transforms()
        mean, std = (torch.tensor(each).view(3, 1, 1) for each in (published.mean, published.std))
        network.transform_input = True
        torch.testing.assert_close(network.fc(encoder(pictures)), network((pictures - mean) / std))
