"""Pictures of one colour each, a model that sees their colour, and an embeddings file of them."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image
from pyarrow import parquet

from ranklight.datamodules.reading.pictures import read_picture

ENCODER = "0123456789abcdef"
COLOURS = {
    "red": (220, 30, 30),
    "green": (30, 180, 60),
    "blue": (30, 60, 220),
    "yellow": (230, 220, 40),
}


class ColourModel:
    """What `ranklight.load` gives, of a model whose embedding is the mean colour."""

    encoder_hash = ENCODER
    embedding_size = 3
    similarity_threshold = 0.97

    def embed(self, images):
        pictures = [read_picture(image) if isinstance(image, Path) else image for image in images]
        return np.stack([unit(picture.float().mean((1, 2)).numpy()) for picture in pictures])


def unit(vector):
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def draw_pictures(folder, each=3):
    """Files of every colour in shades, `each` of them, in the order of names."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, colour in COLOURS.items():
        for shade in range(each):
            file = folder / f"{name}-{shade}.png"
            pixels = np.clip(np.array(colour) + 12 * shade, 0, 255).astype(np.uint8)
            Image.fromarray(np.tile(pixels, (16, 24, 1))).save(file)
            files.append(file)
    return sorted(files)


def colours_of(files):
    return np.stack(
        [unit(np.asarray(Image.open(file)).reshape(-1, 3).mean(0).astype("f")) for file in files]
    )


def write_embeddings(
    path: Path, names, vectors, encoder=ENCODER, threshold=0.97, normalised=True, **columns
):
    """An embeddings file; a row whose vector is None is a broken image."""
    kind = pa.list_(pa.float32(), len(next(v for v in vectors if v is not None)))
    rows = [None if vector is None else vector.tolist() for vector in vectors]
    errors = ["broken" if vector is None else None for vector in vectors]
    table = pa.table(
        {
            "file": [str(name) for name in names],
            "embedding": pa.array(rows, kind),
            "error": pa.array(errors, pa.string()),
            **columns,
        }
    )
    told = {
        "encoder": encoder,
        "run": "colours",
        "normalised": normalised,
        "threshold": threshold,
    }
    parquet.write_table(table.replace_schema_metadata({"ranklight": json.dumps(told)}), path)
    return path
