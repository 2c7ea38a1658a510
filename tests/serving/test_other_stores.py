"""What docs/serving.md says of filling another store from an embeddings file."""

import re
from pathlib import Path

from tests.serving.coloured_pictures import colours_of, draw_pictures, write_embeddings

DOCS = Path(__file__).parents[2] / "docs" / "serving.md"


def test_qdrant_finds_what_an_index_finds(tmp_path, monkeypatch):
    files = draw_pictures(tmp_path / "pictures")
    vectors = colours_of(files)
    write_embeddings(tmp_path / "photos.parquet", [*files, "b.png"], [*vectors, None])
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n([^`]*QdrantClient[^`]*)```", DOCS.read_text("utf-8"))
    names = {"query": vectors[4]}
    exec(code, names)
    nearest = (-(vectors @ vectors[4])).argsort()[:10]
    assert [point.payload["file"] for point in names["found"]] == [str(files[n]) for n in nearest]
