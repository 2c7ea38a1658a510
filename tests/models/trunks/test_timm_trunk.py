"""Timm's networks as trunks: what is given of them, what learns, whose weights they take."""

import pytest
import timm
import torch
from safetensors.torch import save_file

from ranklight.models import Encoder, TimmTrunk

PICTURES = torch.rand(2, 3, 48, 64)


def forward_features(trunk, pictures=PICTURES):
    return trunk.eval().body.forward_features(pictures)


def test_tokens_of_a_transformer():
    class_token, patches, both = (
        TimmTrunk("test_vit", tokens=tokens).eval() for tokens in ("class", "patches", "both")
    )
    patches.load_state_dict(class_token.state_dict())
    both.load_state_dict(class_token.state_dict())
    tokens = forward_features(patches)
    assert torch.equal(class_token(PICTURES)[:, :, 0, 0], tokens[:, 0])
    maps = patches(PICTURES)
    assert maps.shape == (2, 64, 3, 4)
    assert torch.equal(maps[:, :, 1, 2], tokens[:, 1 + 4 + 2])
    expected = torch.cat([tokens[:, 0], tokens[:, 1:].mean(1)], 1)
    torch.testing.assert_close(both(PICTURES).mean((2, 3)), expected)
    assert (class_token.channels, patches.channels, both.channels) == (64, 64, 128)


def test_register_tokens_are_no_patches():
    trunk = TimmTrunk("vit_small_patch14_reg4_dinov2").eval()
    pictures = torch.rand(1, 3, 28, 42)
    tokens = forward_features(trunk, pictures)
    assert tokens.shape[1] == 1 + 4 + 2 * 3
    assert torch.equal(trunk(pictures)[0, :, 0, 0], tokens[0, 5])


@pytest.mark.parametrize("name", ["test_convnext", "eva02_tiny_patch14_224", "test_resnet"])
def test_pooled_is_what_timm_gives_without_a_classifier(name):
    trunk = TimmTrunk(name, tokens="pooled").eval()
    pictures = torch.rand(2, 3, 56, 56)
    encoder = Encoder(trunk, None, normalize=False).eval()
    torch.testing.assert_close(encoder(pictures), trunk.body(encoder.inputs(pictures)))


def test_a_network_without_a_class_token_says_so():
    with pytest.raises(ValueError, match="test_resnet has no class token: give tokens patches or"):
        TimmTrunk("test_resnet", tokens="class")


def test_what_the_output_does_not_depend_on_rests():
    trunk = TimmTrunk("test_convnext")
    resting = [name for name, each in trunk.named_parameters() if not each.requires_grad]
    assert resting == ["body.head.norm.weight", "body.head.norm.bias"]
    assert all(
        each.requires_grad for each in TimmTrunk("test_convnext", tokens="pooled").parameters()
    )


def test_blocks_rest_from_the_pictures_on():
    trunk = TimmTrunk("test_vit", freeze=3)
    learning = {name for name, each in trunk.named_parameters() if each.requires_grad}
    assert not [name for name in learning if "embed" in name or "blocks.1" in name]
    assert "body.norm.weight" in learning
    assert any("blocks.2" in name for name in learning)


def test_gradients_do_not_depend_on_checkpointing():
    kept, again = (
        TimmTrunk("test_vit", checkpointing=checkpointing) for checkpointing in (False, True)
    )
    again.load_state_dict(kept.state_dict())
    assert again.body.grad_checkpointing
    assert not kept.body.grad_checkpointing
    for trunk in (kept, again):
        trunk(PICTURES).square().sum().backward()
    for one, other in zip(kept.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_a_network_without_checkpointing_says_so():
    with pytest.raises(ValueError, match="vgg11 has no gradient checkpointing: leave it out"):
        TimmTrunk("vgg11", checkpointing=True)


def whole_network(name, file, **options):
    torch.manual_seed(5)
    network = timm.create_model(name, num_classes=7, **options)
    if file.suffix == ".safetensors":
        save_file(network.state_dict(), file)
    else:
        torch.save({"state_dict": network.state_dict()}, file)
    return network.state_dict()


@pytest.mark.parametrize("file", ["a.safetensors", "a.pth"])
@pytest.mark.parametrize(
    ("name", "head"), [("test_vit", "head"), ("test_efficientnet", "classifier")]
)
def test_a_whole_network_is_loaded_but_for_its_classifier(name, head, file, tmp_path):
    saved = whole_network(name, tmp_path / file)
    with pytest.warns(UserWarning, match=rf"of {name}: left out are {head}\.bias, {head}\.weight"):
        trunk = TimmTrunk(name, weights=str(tmp_path / file))
    assert all(torch.equal(value, saved[key]) for key, value in trunk.body.state_dict().items())


@pytest.mark.filterwarnings("ignore:.*left out")
def test_position_embeddings_of_another_size_are_resized(tmp_path):
    saved = whole_network("test_vit", tmp_path / "a.pth", img_size=96)
    trunk = TimmTrunk("test_vit", weights=str(tmp_path / "a.pth"))
    assert saved["pos_embed"].shape[1] == 1 + 36
    assert trunk.body.pos_embed.shape[1] == 1 + 100
    assert torch.equal(trunk.body.blocks[0].attn.qkv.weight, saved["blocks.0.attn.qkv.weight"])


@pytest.mark.filterwarnings("ignore:.*left out")
def test_weights_of_another_network_are_refused_by_three_names(tmp_path):
    whole_network("test_resnet", tmp_path / "a.pth")
    with pytest.raises(
        ValueError, match=r"a\.pth of test_vit are not those.*Missing in it \(\d+\): "
    ):
        TimmTrunk("test_vit", weights=str(tmp_path / "a.pth"))


def test_a_file_without_weights_is_refused(tmp_path):
    torch.save({"teacher": {}, "epoch": 3}, tmp_path / "a.pth")
    with pytest.raises(ValueError, match=r"a\.pth holds no tensors but teacher, epoch"):
        TimmTrunk("test_vit", weights=str(tmp_path / "a.pth"))
    for name in ("b.safetensors", "b.pth"):
        (tmp_path / name).write_bytes(b"abc")
        with pytest.raises(ValueError, match=f"{name} cannot be read"):
            TimmTrunk("test_vit", weights=str(tmp_path / name))


def test_windows_follow_the_pictures():
    trunk = TimmTrunk("test_maxvit").eval()
    with pytest.raises(AssertionError, match="must be divisible by window"):
        trunk(torch.rand(1, 3, 96, 96))
    trunk.complete((3, 96, 96))
    assert trunk(torch.rand(1, 3, 96, 96)).shape == (1, trunk.channels, 3, 3)


@pytest.mark.parametrize(
    ("name", "size", "takes"),
    [
        ("vit_small_patch14_dinov2", (225, 225), "224 and 238"),
        ("test_vit", (100, 128), "96 and 112 and 128 and 144"),
        ("levit_128s", (256, 256), "224"),
    ],
)
def test_pictures_that_a_network_cannot_take_are_refused_by_those_that_it_can(name, size, takes):
    trunk = TimmTrunk(name)
    with pytest.raises(
        ValueError, match=rf"{size[0]} by {size[1]} pixels: it takes sides such as {takes};"
    ):
        trunk.complete((3, *size))
