"""Where figures go: the run's folder, and every logger that takes images, once."""

import io
import struct

import numpy as np
import pytest
from PIL import Image
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger

from ranklight.callbacks import Gallery, RetrievalEvaluation
from ranklight.callbacks.pictures import figures
from tests.callbacks.pictures.test_gallery import CLASSES, NAMES
from tests.callbacks.pictures.worlds import ByGrey, Data, trainer


class TakesImages(CSVLogger):
    """A logger with Lightning's `log_image`, as `WandbLogger` has it."""

    def __init__(self, folder):
        super().__init__(folder)
        self.images = []

    def log_image(self, key, images, step=None):
        self.images.append((key, [Image.open(image).size for image in images]))


def images_in(folder):
    """(tag, step, picture) of every image in TensorBoard's files."""
    event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2")
    for file in sorted(folder.rglob("events.out.tfevents.*")):
        content = file.read_bytes()
        while content:
            (length,) = struct.unpack("<Q", content[:8])
            event = event_pb2.Event.FromString(content[12 : 12 + length])
            content = content[16 + length :]
            for value in event.summary.value:
                if value.HasField("image"):
                    picture = Image.open(io.BytesIO(value.image.encoded_image_string))
                    yield value.tag, event.step, np.asarray(picture.convert("RGB"))


def test_every_logger_that_takes_images_gets_them_once(tmp_path):
    pytest.importorskip("tensorboardX")
    takes, board = TakesImages(tmp_path / "csv"), TensorBoardLogger(tmp_path / "board")
    loggers = [takes, CSVLogger(tmp_path / "plain"), board]
    run = trainer(tmp_path, RetrievalEvaluation(clustering=False), Gallery(), logger=loggers)
    run.test(ByGrey(), datamodule=Data(CLASSES, class_names=NAMES), verbose=False)
    board.finalize("success")
    with Image.open(tmp_path / "plots/gallery.png") as picture:
        size, pixels = picture.size, np.asarray(picture.convert("RGB"))
    assert takes.images == [("gallery", [size])]
    ((tag, step, logged),) = images_in(tmp_path / "board")
    assert (tag, step) == ("gallery", 0)
    assert np.array_equal(logged, pixels)


def test_the_file_may_have_another_name_than_the_loggers_use(tmp_path):
    takes = TakesImages(tmp_path / "csv")
    run = trainer(tmp_path, logger=takes)
    figure = figures.new_figure(1.0, 1.0)
    assert figures.save(figure, "map", run, "map-val") == tmp_path / "plots/map-val.png"
    assert [key for key, _ in takes.images] == ["map"]
