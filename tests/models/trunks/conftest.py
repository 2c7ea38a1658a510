"""Networks of few and narrow layers, since most of what these tests cost is drawing weights."""

import pytest
import timm

_NARROW = {"depth": 2, "embed_dim": 96, "num_heads": 3}
_SHORT = {"depths": (1, 1, 1, 1)}
_SMALLER = {
    "edgenext_xx_small": _SHORT,
    "pvt_v2_b0": _SHORT,
    "deit_tiny_distilled_patch16_224": {"depth": 2},
    "eva02_tiny_patch14_224": {"depth": 2},
    "vit_small_patch14_dinov2": _NARROW,
    "vit_small_patch14_reg4_dinov2": _NARROW,
    "vit_small_patch16_dinov3": _NARROW,
    "vit_xsmall_patch16_clip_224": _NARROW,
    "vit_base_patch32_siglip_256": _NARROW,
    "swin_tiny_patch4_window7_224": {"embed_dim": 24, "num_heads": (1, 1, 2, 2), **_SHORT},
}


@pytest.fixture(autouse=True)
def smaller_networks(monkeypatch):
    """Timm's networks by their names, with the parts and options of each and fewer layers."""
    create = timm.create_model

    def create_smaller(name, **options):
        return create(name, **{**_SMALLER.get(name, {}), **options})

    monkeypatch.setattr(timm, "create_model", create_smaller)
