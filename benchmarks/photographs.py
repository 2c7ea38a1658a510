"""Pictures that compress as photographs do, since none can be shipped."""

import torch
import torch.nn.functional as F
from PIL import Image

_OCTAVE, _NOISE, _DISCS, _EDGE = 14.0, 3.0, 40, 25.0


def photograph(width: int, height: int, seed: int = 0) -> Image.Image:
    """Random fields, edges and a sensor's noise.

    The fields have as much energy in each octave of frequencies, as photographs have, down to where
    the lens is no sharper: 1/500 of the width. At quality 90 a pixel takes 2 to 3 bits.
    """
    draw = torch.Generator().manual_seed(seed)
    pixels = torch.full((1, 3, height, width), 128.0)
    cell = 2
    while cell < width:
        grid = torch.randn(1, 3, -(-height // cell) + 1, -(-width // cell) + 1, generator=draw)
        # Mostly brightness: what differs between the three is color.
        grid = 0.9 * grid[:, :1] + 0.3 * grid
        sharpness = cell / (cell + width / 250)
        field = F.interpolate(grid, (height, width), mode="bicubic", align_corners=False)
        pixels += _OCTAVE * sharpness * field
        cell *= 2
    _add_discs(pixels, draw)
    pixels += _NOISE * torch.randn(pixels.shape, generator=draw)
    return Image.fromarray(pixels[0].permute(1, 2, 0).clamp(0, 255).byte().numpy())


def _add_discs(pixels: torch.Tensor, draw: torch.Generator) -> None:
    height, width = pixels.shape[2:]
    y, x = torch.arange(height)[:, None], torch.arange(width)
    for row, column, radius, *color in torch.rand(_DISCS, 6, generator=draw).tolist():
        squared = (y - row * height) ** 2 + (x - column * width) ** 2
        inside = squared < (radius * width / 8) ** 2
        pixels += _EDGE * (torch.tensor(color).view(3, 1, 1) - 0.5) * inside
