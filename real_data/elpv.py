"""Solar cells and how likely each is defect: python -m real_data.elpv data/elpv.

The package elpv-dataset has 2,624 grey photographs of 300×300 pixels, licensed CC BY-NC-SA 4.0: for
nothing commercial, which is why nothing here installs it unasked. Written are

    images/*.png
    table.csv           image, split, defect (probability: 0, 1/3, 2/3, 1), polycrystalline (0, 1)
    LICENCES.txt
"""

import sys
from importlib.util import find_spec
from pathlib import Path

from real_data.building import built_whole, copy, megabytes, split_of, write_table

LICENCES = """\
images, table.csv: the ELPV dataset of Buerhop-Lutz, Deitsch et al., CC BY-NC-SA 4.0, not for
    commercial use, https://creativecommons.org/licenses/by-nc-sa/4.0/,
    https://github.com/zae-bayern/elpv-dataset, from elpv-dataset 1.0.0.post1; images unchanged,
    labels rewritten as a table with splits. Cite:
    Deitsch et al., Automatic classification of defective photovoltaic module cells in
    electroluminescence images, Solar Energy 185, 2019
"""


def main() -> None:
    """Build the folder that the command line names."""
    root = Path(sys.argv[1])
    package = find_spec("elpv_dataset")
    if package is None or package.origin is None:
        sys.exit("elpv-dataset (CC BY-NC-SA 4.0) is not installed: make real-data ELPV=1")
    source = Path(package.origin).parent / "data"
    with built_whole(root) as partial:
        rows = write_cells(source, partial)
        (partial / "LICENCES.txt").write_text(LICENCES)
    print(f"{root}: {rows} images with numbers; {megabytes(root)}")


def write_cells(source: Path, root: Path) -> int:
    """Images and table of the package's data folder; returns how many rows."""
    cells = [line.split() for line in (source / "labels.csv").read_text().splitlines()]
    for image, _, _ in cells:
        copy(source / image, root / image)
    rows = [
        (image, split_of(image, train=6), defect, int(kind == "poly"))
        for image, defect, kind in cells
    ]
    write_table(root / "table.csv", ("image", "split", "defect", "polycrystalline"), rows)
    return len(rows)


if __name__ == "__main__":
    main()
