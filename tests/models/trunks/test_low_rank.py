"""Updates of low rank: nothing else learns, and they start at nothing."""

import sys

import pytest
import torch

from ranklight.models import LoRA, SmallConvNet, TimmTrunk

pytest.importorskip("peft", reason="LoRA needs peft, the extra lora")
PICTURES = torch.rand(2, 3, 32, 48)


def test_it_starts_as_the_trunk_and_adds_a_product_of_two():
    trunk = TimmTrunk("test_vit")
    before = trunk(PICTURES)
    adapted = LoRA(trunk, rank=2, alpha=6)
    torch.testing.assert_close(adapted(PICTURES), before)
    layer = adapted.trunk.body.blocks[0].mlp.fc1
    a, b = layer.lora_A.default.weight, layer.lora_B.default.weight
    torch.nn.init.normal_(b)
    inputs = torch.rand(5, 64)
    torch.testing.assert_close(layer(inputs), layer.base_layer(inputs) + 6 / 2 * inputs @ a.T @ b.T)


def test_only_the_updates_learn():
    adapted = LoRA(TimmTrunk("test_vit"))
    learning = [name for name, each in adapted.named_parameters() if each.requires_grad]
    assert all("lora_" in name for name in learning)
    assert len(learning) == 2 * 4 * len(adapted.trunk.body.blocks)
    adapted(PICTURES).square().sum().backward()
    assert all(adapted.get_parameter(name).grad is not None for name in learning)


def test_layers_that_are_read_and_not_called_are_left_as_they_are():
    adapted = LoRA(TimmTrunk("eva02_tiny_patch14_224"))
    updated = {name.split(".")[-4] for name in adapted.state_dict() if "lora_A" in name}
    assert "qkv" not in updated
    assert "proj" in updated
    with pytest.raises(ValueError, match=r"updates linear layers that the trunk calls: proj.*qkv"):
        LoRA(TimmTrunk("eva02_tiny_patch14_224"), layers=["qkv"])


def test_a_trunk_without_linear_layers_has_nothing_to_update():
    with pytest.raises(ValueError, match="trunk calls: it has none; got all"):
        LoRA(SmallConvNet(3, 8))


def test_it_is_an_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ValueError, match=r"LoRA needs peft: pip install 'ranklight\[lora\]'"):
        LoRA(SmallConvNet(3, 8))
