import errno
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
import torch
from PIL import Image, ImageOps

from ranklight.datamodules.reading import jpeg, pictures
from ranklight.datamodules.reading.pictures import picture_size, read_picture

ORIENTATION = 0x0112
WIDTH, HEIGHT = 64, 32
RED, GREEN, BLUE, YELLOW = (220, 30, 30), (30, 200, 40), (30, 40, 210), (230, 220, 20)
LOSSLESS = {"jpg": {"quality": 95, "subsampling": 0}, "webp": {"lossless": True}}


def quadrants():
    """Red and green above blue and yellow."""
    pixels = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    pixels[: HEIGHT // 2, : WIDTH // 2], pixels[: HEIGHT // 2, WIDTH // 2 :] = RED, GREEN
    pixels[HEIGHT // 2 :, : WIDTH // 2], pixels[HEIGHT // 2 :, WIDTH // 2 :] = BLUE, YELLOW
    return Image.fromarray(pixels)


def photograph(width=161, height=123, seed=0):
    """Smooth fields with some noise, in colour."""
    draw = np.random.default_rng(seed)
    coarse = draw.integers(0, 256, (9, 12, 3)).astype(np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    noisy = smooth + draw.normal(0, 3, smooth.shape)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def saved(folder, image, name, **options):
    image.save(folder / name, **options)
    return folder / name


def oriented(orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif


def by_pillow(file):
    with Image.open(file) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB")).astype(int)


def rows(picture):
    assert picture.dtype == torch.uint8
    return picture.permute(1, 2, 0).numpy().astype(int)


def png(size, bits, color_type, lines, *chunks):
    """A PNG as Pillow cannot write it."""

    def chunk(name, content):
        checksum = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", *size, bits, color_type, 0, 0, 0)
    content = zlib.compress(b"".join(b"\0" + line for line in lines))
    parts = [(b"IHDR", header), *chunks, (b"IDAT", content), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "avif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_upright(tmp_path, orientation, suffix):
    options = {"exif": oriented(orientation), **LOSSLESS.get(suffix, {})}
    file = saved(tmp_path, quadrants(), f"quadrants.{suffix}", **options)
    read = rows(read_picture(file))
    assert read.shape == by_pillow(file).shape
    assert np.abs(read - by_pillow(file)).mean() <= 2
    assert picture_size(file) == (read.shape[1], read.shape[0])


def test_a_phone_held_upright(tmp_path):
    """What EXIF calls 6 is stored lying on its left side."""
    stored = quadrants().transpose(Image.Transpose.ROTATE_90)
    file = saved(tmp_path, stored, "phone.jpg", exif=oriented(6), quality=95, subsampling=0)
    assert np.abs(rows(read_picture(file)) - np.asarray(quadrants()).astype(int)).mean() < 2


def test_an_orientation_in_xmp_alone(tmp_path):
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="8"/></x:xmpmeta>'
    file = saved(tmp_path, quadrants(), "xmp.jpg", xmp=xmp)
    assert picture_size(file) == (HEIGHT, WIDTH)
    assert np.array_equal(rows(read_picture(file)), by_pillow(file))


def test_an_orientation_behind_the_pixels_of_a_png(tmp_path):
    exif = oriented(6).tobytes().removeprefix(b"Exif\0\0")
    file = saved(tmp_path, quadrants(), "early.png")
    content = file.read_bytes()
    chunk = b"eXIf" + exif
    late = struct.pack(">I", len(exif)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    file.write_bytes(content[:-12] + late + content[-12:])
    assert np.array_equal(rows(read_picture(file)), by_pillow(file))
    assert read_picture(file).shape == (3, WIDTH, HEIGHT)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize(
    "exif", [b"Exif\0\0 no tags", b"Exif\0\0II*\0\xff\xff\xff\xff", oriented(9)]
)
def test_damaged_exif_turns_nothing(tmp_path, exif):
    file = saved(tmp_path, quadrants(), "damaged.jpg", exif=exif, quality=95, subsampling=0)
    assert read_picture(file).shape == (3, HEIGHT, WIDTH)


BACKGROUNDS = [(255, 255, 255), (10, 120, 240)]


def half_transparent(color=(0, 0, 0)):
    """Transparent, then half, then opaque, from left to right."""
    pixels = np.zeros((2, 3, 4), np.uint8)
    pixels[..., :3] = color
    pixels[..., 3] = 0, 128, 255
    return Image.fromarray(pixels)


@pytest.mark.parametrize("background", BACKGROUNDS)
@pytest.mark.parametrize(
    ("name", "mode"),
    [("a.png", "RGBA"), ("a.webp", "RGBA"), ("a.tif", "RGBA"), ("a.png", "LA"), ("a.tif", "LA")],
)
def test_alpha_lies_over_the_background(tmp_path, name, mode, background):
    options = {"lossless": True, "exact": True} if name == "a.webp" else {}
    file = saved(tmp_path, half_transparent().convert(mode), name, **options)
    over = np.array(background)
    wanted = np.stack([over, over * (1 - 128 / 255), 0 * over])
    read = rows(read_picture(file, background))
    assert np.abs(read - wanted).max() <= 1
    assert np.array_equal(read[0, 0], background)


def palette_picture():
    """Red, green, blue from a palette."""
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8), "P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    return image


@pytest.mark.parametrize("background", BACKGROUNDS)
@pytest.mark.parametrize(
    ("suffix", "transparency", "alpha"),
    [
        ("png", 1, [1, 0, 1]),
        ("gif", 1, [1, 0, 1]),
        ("png", b"\x00\xff\x80", [0, 1, 128 / 255]),
    ],
)
def test_a_palette_with_transparency(tmp_path, suffix, transparency, alpha, background):
    file = saved(tmp_path, palette_picture(), f"p.{suffix}", transparency=transparency)
    colors, share = np.eye(3) * 255, np.array(alpha)[:, None]
    wanted = colors * share + np.array(background) * (1 - share)
    with warnings.catch_warnings(action="error"):
        read = rows(read_picture(file, background))
    assert np.abs(read[0] - wanted).max() <= 1


def test_a_palette_with_an_alpha_channel(tmp_path):
    picture = palette_picture().convert("PA")
    picture.putalpha(Image.fromarray(np.array([[0, 128, 255]], np.uint8)))
    file = saved(tmp_path, picture, "pa.tif")
    with Image.open(file) as opened:
        assert opened.mode == "PA"
    assert (
        np.abs(rows(read_picture(file))[0] - [[255, 255, 255], [127, 255, 127], [0, 0, 255]]).max()
        <= 1
    )


def key(*values):
    return b"tRNS", struct.pack(f">{len(values)}H", *values)


KEYED = {
    "grey of 1 bit": (png((2, 1), 1, 0, [b"\x40"], key(0)), [-1, 255]),
    "grey of 2 bits": (png((4, 1), 2, 0, [b"\x1b"], key(2)), [0, 85, -1, 255]),
    "grey of 4 bits": (png((2, 1), 4, 0, [b"\x5f"], key(5)), [-1, 255]),
    "grey of 8 bits": (png((3, 1), 8, 0, [b"\x05\x06\x07"], key(6)), [5, -1, 7]),
    "grey of 16 bits": (png((2, 1), 16, 0, [b"\x12\x34\xff\xff"], key(0x1234)), [-1, 255]),
    "colours of 8 bits": (png((2, 1), 8, 2, [b"\x01\x01\x01\x02\x02\x02"], key(1, 1, 1)), [-1, 2]),
    "colours of 16 bits": (
        png((2, 1), 16, 2, [b"\x12\x34" * 3 + b"\x56\x78" * 3], key(*[0x1234] * 3)),
        [-1, 0x56],
    ),
}


@pytest.mark.parametrize("background", BACKGROUNDS)
@pytest.mark.parametrize("kind", KEYED)
def test_one_transparent_value(tmp_path, kind, background):
    content, values = KEYED[kind]
    file = tmp_path / "keyed.png"
    file.write_bytes(content)
    wanted = [background if value < 0 else (value,) * 3 for value in values]
    assert rows(read_picture(file, background))[0].tolist() == [list(color) for color in wanted]


@pytest.mark.parametrize("name", ["deep.png", "deep.tif", "big_endian.tif", "deep.pgm"])
def test_grey_of_16_bits_is_scaled(tmp_path, name):
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    image = Image.fromarray(values.astype(">u2") if name == "big_endian.tif" else values)
    file = saved(tmp_path, image, name)
    read = rows(read_picture(file))
    assert np.array_equal(read, np.rint(values / 257).astype(int)[..., None].repeat(3, 2))


def test_a_scan_of_0_to_63000_is_not_black_and_white(tmp_path):
    values = np.linspace(0, 63000, 256).astype(np.uint16)[None]
    file = saved(tmp_path, Image.fromarray(values), "scan.png")
    assert rows(read_picture(file))[0, :, 0].tolist() == np.rint(values[0] / 257).tolist()


def test_colours_of_16_bits_keep_the_upper_8(tmp_path):
    values = np.random.default_rng(0).integers(0, 65536, (5, 4), np.uint16)
    for color_type, channels in [(2, 3), (6, 4), (4, 2)]:
        colors = np.repeat(values[..., None], channels, 2)
        if channels != 3:
            colors[..., -1] = 65535
        file = tmp_path / "deep.png"
        file.write_bytes(
            png((4, 5), 16, color_type, [line.astype(">u2").tobytes() for line in colors])
        )
        assert np.abs(rows(read_picture(file)) - (values / 257)[..., None]).max() <= 1


def test_float_from_0_to_1_is_scaled(tmp_path):
    values = np.linspace(0, 1, 11, dtype=np.float32)[None]
    file = saved(tmp_path, Image.fromarray(values), "float.tif")
    assert rows(read_picture(file))[0, :, 1].tolist() == np.rint(values[0] * 255).tolist()


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            np.array([[-0.5, 1]], np.float32),
            "its values are -0.5..1; float values are read in 0..1",
        ),
        (np.array([[0, 255]], np.float32), "its values are 0..255; float"),
        (np.array([[0, np.nan]], np.float32), "its values are nan..nan; float"),
        (np.array([[-1, 5]], np.int32), "its values are -1..5; whole numbers are read in 0..65535"),
        (np.array([[0, 65536]], np.int32), "its values are 0..65536; whole"),
    ],
)
def test_values_without_a_scale_are_refused(tmp_path, values, sentence):
    file = saved(tmp_path, Image.fromarray(values), "values.tif")
    with pytest.raises(ValueError, match=f"values.tif is not a readable image: {sentence}"):
        read_picture(file)


def test_white_may_be_zero(tmp_path):
    for values in (np.array([[0, 255]], np.uint8), np.array([[0, 65535]], np.uint16)):
        file = saved(tmp_path, Image.fromarray(values), "inverted.tif", tiffinfo={262: 0})
        stored = rows(read_picture(file))[0, :, 0].tolist()
        assert stored == ([0, 255] if values.dtype == np.uint8 else [255, 0])


MODES = [
    ("1", "png"),
    ("1", "tif"),
    ("1", "pbm"),
    ("L", "jpg"),
    ("L", "png"),
    ("L", "bmp"),
    ("L", "webp"),
    ("P", "png"),
    ("P", "gif"),
    ("P", "bmp"),
    ("P", "tif"),
    ("RGB", "png"),
    ("RGB", "bmp"),
    ("RGB", "ppm"),
    ("RGB", "jp2"),
    ("RGB", "jfif"),
    ("RGB", "jpe"),
    ("RGB", "webp"),
    ("RGB", "avif"),
    ("RGB", "apng"),
    ("CMYK", "jpg"),
    ("CMYK", "tif"),
    ("YCbCr", "jpg"),
    ("YCbCr", "tif"),
    ("LAB", "tif"),
]


@pytest.mark.parametrize(("mode", "suffix"), MODES)
def test_every_mode_is_what_pillow_sees(tmp_path, mode, suffix):
    file = saved(tmp_path, photograph().convert(mode), f"photo.{suffix}")
    assert file.suffix in pictures.SUFFIXES
    read = rows(read_picture(file))
    assert np.abs(read - by_pillow(file)).mean() <= 2 / 255
    assert read.std() > 20


@pytest.mark.parametrize("options", [{"progressive": True}, {"subsampling": 0}, {"subsampling": 2}])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_whole_jpeg_equals_pillows(tmp_path, mode, options):
    file = saved(tmp_path, photograph().convert(mode), "photo.jpg", quality=80, **options)
    assert np.abs(rows(read_picture(file)) - by_pillow(file)).mean() <= 2 / 255


def test_of_several_frames_the_first(tmp_path):
    first, second = quadrants(), Image.new("RGB", (WIDTH, HEIGHT), BLUE)
    for name, options in {
        "a.gif": {},
        "a.png": {},
        "a.webp": {"lossless": True},
        "a.tif": {},
        "a.mpo": {"quality": 95, "subsampling": 0},
        "a.avif": {"quality": 100},
    }.items():
        file = saved(tmp_path, first, name, save_all=True, append_images=[second], **options)
        with Image.open(file) as opened:
            assert opened.n_frames == 2, name
        assert np.abs(rows(read_picture(file)) - np.asarray(first).astype(int)).mean() < 4, name


def test_heic(tmp_path):
    pillow_heif.register_heif_opener()
    file = saved(tmp_path, quadrants(), "phone.heic", quality=95)
    assert np.array_equal(rows(read_picture(file)), by_pillow(file))
    assert np.abs(by_pillow(file) - np.asarray(quadrants()).astype(int)).mean() < 6


@pytest.mark.parametrize("brand", [b"heic", b"mif1"])
def test_heic_without_its_library_names_it(tmp_path, monkeypatch, brand):
    monkeypatch.setattr(pictures, "_formats", lambda: pictures._FORMATS)
    file = tmp_path / "phone.heic"
    file.write_bytes(b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0mif1heic" + bytes(100))
    with pytest.raises(ValueError, match=r"phone.heic is not .* HEIC.*: pip install pillow-heif"):
        read_picture(file)


def bomb(width, height):
    return png((width, height), 1, 0, [])


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("read", [read_picture, picture_size])
@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "it is empty"),
        (b"hello, I am a text", r"it is none of JPEG, .*; it begins with b'hello, I am a te'"),
        (b"\xff\xd8\xff\xe0", "as JPEG: "),
        (b"II*\0\x08\0\0\0", "as TIFF: "),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "it is none of"),
        (bomb(13_500, 13_500), "it has more than 178,956,970 pixels"),
        (bomb(2**31 - 1, 2**31 - 1), "it has more than 178,956,970 pixels"),
    ],
)
def test_a_header_that_is_wrong(tmp_path, read, content, sentence):
    file = tmp_path / "wrong.png"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=f"wrong.png is not a readable image: {sentence}"):
        read(file)


@pytest.mark.parametrize("read", [read_picture, picture_size])
def test_no_file_to_open(tmp_path, monkeypatch, read):
    with pytest.raises(
        ValueError, match=r"the image .*gone.jpg was there at the start and is gone"
    ):
        read(tmp_path / "gone.jpg")
    (tmp_path / "folder.jpg").mkdir()
    with pytest.raises(ValueError, match=r"folder.jpg is not a readable image: Is a directory"):
        read(tmp_path / "folder.jpg")

    def refuse(self, *arguments, **options):
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ValueError, match=r"mine.jpg is not a readable image: Permission denied"):
        read(tmp_path / "mine.jpg")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_large_picture_is_no_bomb(tmp_path):
    file = tmp_path / "large.png"
    file.write_bytes(bomb(13_300, 13_300))
    assert picture_size(file) == (13_300, 13_300)


@pytest.mark.parametrize(
    "suffix", ["jpg", "png", "webp", "tif", "gif", "bmp", "avif", "jp2", "ppm"]
)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
def test_a_picture_that_is_cut_off_is_named(tmp_path, suffix, share):
    file = saved(tmp_path, photograph(), f"cut.{suffix}")
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ValueError, match=rf"cut.{suffix} is not a readable image: \w"):
        read_picture(file)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
def test_a_box_cuts_the_upright_picture(tmp_path, suffix, orientation):
    file = saved(tmp_path, photograph(), f"photo.{suffix}", exif=oriented(orientation))
    left, top, right, bottom = box = (10, 25, 90, 118)
    read = read_picture(file, box=box)
    assert np.abs(rows(read) - by_pillow(file)[top:bottom, left:right]).mean() <= 2 / 255
    assert read.untyped_storage().nbytes() == read.numel()


@pytest.mark.parametrize(
    "box", [(-1, 0, 5, 5), (0, 0, 33, 5), (0, 0, 5, 65), (5, 5, 5, 9), (9, 5, 3, 9)]
)
def test_a_box_outside_of_the_picture(tmp_path, box):
    file = saved(tmp_path, quadrants(), "photo.jpg", exif=oriented(6))
    with pytest.raises(ValueError, match=r"the box \(.*photo.jpg, which is 32 x 64 pixels"):
        read_picture(file, box=box)


@pytest.mark.parametrize(
    ("least_side", "reduction"), [(None, 1), (65, 1), (64, 2), (33, 2), (32, 4), (16, 8), (1, 8)]
)
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_jpeg_is_decoded_no_larger_than_needed(tmp_path, least_side, reduction, orientation):
    file = saved(tmp_path, photograph(160, 128), "photo.jpg", exif=oriented(orientation))
    read, whole = rows(read_picture(file, least_side=least_side)), by_pillow(file)
    height, width = (side // reduction for side in whole.shape[:2])
    means = whole.reshape(height, reduction, width, reduction, 3).mean((1, 3))
    assert read.shape == means.shape
    assert np.abs(read - means).mean() < 3


@pytest.mark.parametrize("least_side", [61, 30, 15])
def test_a_reduced_side_is_rounded_up(tmp_path, least_side):
    file = saved(tmp_path, photograph(161, 123), "photo.jpg")
    reduction = 123 // least_side
    size = tuple(-(-side // reduction) for side in (123, 161))
    assert read_picture(file, least_side=least_side).shape[1:] == size


@pytest.mark.parametrize("least_side", [None, 30])
def test_without_its_library_pillow_reads_jpeg(tmp_path, monkeypatch, least_side):
    file = saved(tmp_path, photograph(), "photo.jpg", exif=oriented(7))
    fast = rows(read_picture(file, least_side=least_side))
    monkeypatch.setattr(jpeg, "decode_jpeg", None)
    slow = rows(read_picture(file, least_side=least_side))
    assert fast.shape == slow.shape
    assert np.abs(fast - slow).mean() <= 2 / 255


def test_what_its_library_refuses_pillow_reads(tmp_path):
    """Bytes between the segments, which libjpeg only warns of."""
    file = saved(tmp_path, photograph(), "photo.jpg")
    content = file.read_bytes()
    file.write_bytes(content[:-2] + bytes(100) + content[-2:])
    with pytest.raises(ValueError, match="extraneous"):
        jpeg.decode_jpeg(file.read_bytes(), "RGB")
    assert np.array_equal(rows(read_picture(file)), by_pillow(file))


def test_a_box_of_a_reduced_picture(tmp_path):
    file = saved(tmp_path, photograph(800, 600), "photo.jpg", quality=95, exif=oriented(8))
    for box in [(100, 200, 402, 601), (101, 203, 403, 603), (299, 498, 600, 799)]:
        whole = read_picture(file, box=box).float()
        half = rows(read_picture(file, box=box, least_side=150))
        size = tuple(-(-side // 2) for side in whole.shape[1:])
        assert half.shape == (*size, 3)
        resized = torch.nn.functional.interpolate(whole[None], size, mode="area")[0]
        assert np.abs(half - resized.permute(1, 2, 0).numpy()).mean() < 3


@pytest.mark.parametrize("box", [(0, 0, 9, 9), (152, 114, 161, 123), (145, 107, 160, 122)])
def test_a_box_at_the_edge_of_a_reduced_picture(tmp_path, box):
    file = saved(tmp_path, photograph(161, 123), "photo.jpg")
    side = -(-(box[2] - box[0]) // 8)
    assert read_picture(file, box=box, least_side=1).shape == (3, side, side)


def test_only_jpeg_is_reduced(tmp_path):
    file = saved(tmp_path, photograph(), "photo.png")
    assert read_picture(file, least_side=8).shape == (3, 123, 161)


@pytest.mark.parametrize(
    ("kind", "options", "plain"),
    [
        ("RGB", {}, True),
        ("L", {}, True),
        ("RGB", {"progressive": True, "comment": b"by hand", "icc_profile": b"profile"}, False),
        ("RGB", {"progressive": True, "comment": b"by hand"}, True),
        ("RGB", {"exif": oriented(1)}, False),
        ("RGB", {"xmp": b"<x:xmpmeta/>"}, False),
        ("CMYK", {}, False),
    ],
)
def test_a_jpeg_with_nothing_beside_its_picture_tells_its_size(tmp_path, kind, options, plain):
    file = saved(tmp_path, photograph().convert(kind), "photo.jpg", **options)
    size = jpeg.upright_jpeg_size(file.read_bytes())
    assert size == (photograph().size if plain else None)


@pytest.mark.parametrize("length", [0, 1, 2, 3, 20, 160])
def test_a_header_that_is_cut_off_tells_nothing(tmp_path, length):
    content = saved(tmp_path, photograph(), "photo.jpg").read_bytes()
    assert jpeg.upright_jpeg_size(content[:length]) is None
