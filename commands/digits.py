"""`ranklight digits`: the digits of the quickstart's test as files, a folder a class."""

from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path


def main(arguments: Sequence[str]) -> None:
    """Write the pictures to the folder that the command line names."""
    folder = Path(_parser().parse_args(arguments).folder)
    if folder.exists():
        raise FileExistsError(f"{folder} is there already: name a folder that is not")
    from PIL import Image

    from ranklight.datamodules import Digits
    from ranklight.files.writing import replacing_folder

    data = Digits()
    data.setup("test")
    scenes = data.test.__getitems__(range(len(data.test)))
    classes = scenes.labels.tolist()
    with replacing_folder(folder) as beside:
        for picture, label, index in zip(
            scenes.images[:, 0].numpy(), classes, scenes.index.tolist(), strict=True
        ):
            file = beside / str(label) / f"{index:04}.png"
            file.parent.mkdir(exist_ok=True)
            Image.fromarray(picture).save(file)
    print(f"{folder}: {len(classes)} pictures of {len(set(classes))} classes")


def _parser() -> ArgumentParser:
    parser = ArgumentParser("ranklight digits", description=__doc__)
    parser.add_argument("folder", help="The folder to write, which must not be there.")
    return parser
