"""64 bits that a picture shares with its resized and recompressed copies."""

import numpy as np
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor

_SIDE = 32
_BITS = 64


def perceptual_hash(picture: UInt8[Tensor, "c h w"]) -> int:
    """Which of the 64 lowest frequencies of a picture are above their median.

        b_f = [c_f > median c],   c = DCT-II of the picture in grey on 32 × 32 pixels

    Copies of other sizes, qualities and formats differ in 0 to 4 bits, unrelated pictures in about
    32. Half of the bits are set whatever the picture, so white backgrounds do not make them alike
    (they do for differences of neighbours, "dHash"). A mirrored or cropped copy is another picture.

    The "pHash" of Zauner: Implementation and Benchmarking of Perceptual Image Hash Functions, 2010,
    without the mean of the picture and with frequencies in a triangle in place of a square.

    Args:
        picture: Of any size, in any number of channels.
    """
    grey = F.adaptive_avg_pool2d(picture.float().mean(0, keepdim=True), _SIDE)[0].numpy()
    coefficients = (_COSINES @ grey @ _COSINES.T)[_LOWEST[0], _LOWEST[1]]
    above = coefficients > np.median(coefficients)
    return int.from_bytes(np.packbits(above).tobytes(), "big")


def _cosines() -> Float[np.ndarray, "f p"]:
    pixels = np.arange(_SIDE) + 0.5
    return np.cos(np.pi / _SIDE * np.arange(_SIDE)[:, None] * pixels).astype(np.float32)


def _lowest_frequencies() -> Int[np.ndarray, "2 64"]:
    vertical, horizontal = np.indices((_SIDE, _SIDE)).reshape(2, -1)
    order = np.lexsort((vertical, vertical + horizontal))[1 : 1 + _BITS]
    return np.stack([vertical[order], horizontal[order]])


_COSINES = _cosines()
_LOWEST = _lowest_frequencies()
