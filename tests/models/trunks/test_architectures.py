"""One network of each family of timm, small and without weights, takes a step at two sizes."""

import pytest
import torch

from ranklight.models import Encoder, TimmTrunk

SIDES = {
    "test_resnet": (32, 64),
    "test_convnext": (32, 64),
    "test_efficientnet": (32, 64),
    "mobilenetv4_conv_small_035": (32, 64),
    "regnetx_002": (32, 64),
    "test_nfnet": (32, 64),
    "edgenext_xx_small": (64, 96),
    "test_mambaout": (32, 64),
    "pvt_v2_b0": (32, 64),
    "test_vit": (32, 48),
    "deit_tiny_distilled_patch16_224": (32, 48),
    "vit_small_patch14_reg4_dinov2": (28, 42),
    "vit_small_patch16_dinov3": (32, 48),
    "eva02_tiny_patch14_224": (28, 42),
    "vit_xsmall_patch16_clip_224": (32, 48),
    "vit_base_patch32_siglip_256": (32, 64),
    "swin_tiny_patch4_window7_224": (32, 64),
    "test_maxvit": (64, 96),
    "test_coatnet": (64, 96),
}

WINDOWS = ("test_maxvit", "test_coatnet")
"""What has to be told the size; the others take what comes."""
MEAN_AND_STD = {
    "vit_small_patch16_dinov3": (0.485, 0.229),
    "vit_xsmall_patch16_clip_224": (0.4815, 0.2686),
    "vit_base_patch32_siglip_256": (0.5, 0.5),
}


@pytest.mark.parametrize("name", SIDES)
def test_it_steps_at_two_sizes(name):
    encoder = Encoder(TimmTrunk(name), 4).train()
    red = encoder.inputs.mean[0].item(), encoder.inputs.std[0].item()
    assert red == pytest.approx(MEAN_AND_STD.get(name, red), abs=1e-4)
    for side in SIDES[name]:
        if name in WINDOWS:
            encoder.trunk.complete((3, side, side))
        embeddings = encoder(torch.randint(256, (2, 3, side, side), dtype=torch.uint8))
        assert embeddings.shape == (2, 4)
        encoder.zero_grad()
        embeddings.sum().backward()
        learning = [each for each in encoder.parameters() if each.requires_grad]
        assert all(each.grad is not None for each in learning)
        assert all(each.grad.isfinite().all() for each in learning)
