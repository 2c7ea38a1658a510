import pytest
import torch
from timm.layers.ml_decoder import MLDecoder as Peer

from ranklight.models import MLDecoder

MAPS = torch.randn(3, 12, 4, 5)


def head(classes, **options):
    made = MLDecoder(**options)
    made.complete(classes, 12)
    return made.eval()


@pytest.mark.parametrize(("classes", "queries"), [(7, 100), (7, 3), (6, 3)])
def test_it_is_the_published_one(classes, queries):
    own = head(classes, queries=queries, width=32)
    peer = Peer(classes, min(queries, classes), 32, 12).eval()
    layer = peer.decoder.layers[0]
    # Torch's own loop over layers asks each for a self-attention, which this one has not.
    peer.decoder.forward = layer.forward
    pairs = [
        (peer.embed_standart, own.places),
        (layer.multihead_attn, own.attention),
        (layer.linear1, own.feed_forward[0]),
        (layer.linear2, own.feed_forward[3]),
        *((getattr(layer, f"norm{i + 1}"), own.norms[i]) for i in range(3)),
    ]
    for theirs, ours in pairs:
        theirs.load_state_dict(ours.state_dict())
    with torch.no_grad():
        own.bias.normal_()
        peer.query_embed.weight.copy_(own.query)
        peer.duplicate_pooling.copy_(own.weight)
        peer.duplicate_pooling_bias.copy_(own.bias)
    torch.testing.assert_close(own(MAPS), peer(MAPS))


def test_defaults_are_the_papers():
    made = head(80)
    assert made.query.shape == (80, 768)
    assert head(500).query.shape == (100, 768)
    assert (made.attention.num_heads, made.attention.dropout) == (8, 0.1)
    assert made.feed_forward[0].out_features == 2048
    assert not made.query.requires_grad


def test_the_width_must_be_divisible_among_heads():
    with pytest.raises(ValueError, match="width must be a multiple of heads, got 30 and 8"):
        MLDecoder(width=30)
