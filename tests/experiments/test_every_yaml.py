import importlib
import inspect
import itertools
import json
import pickle
import shlex
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import torchvision
import yaml
from PIL import Image
from scipy.io import savemat

from ranklight.__main__ import main
from ranklight.datamodules import ImageFolder
from ranklight.datamodules.class_data import ClassData
from ranklight.datamodules.multi_label_data import MultiLabelData
from ranklight.datamodules.published.voc2007 import CLASSES


def picture(file):
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(zlib.crc32(file.name.encode())).integers(0, 256, (SIZE, SIZE, 3))
    Image.fromarray(pixels.astype(np.uint8)).save(file)


def write(file, lines):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines) + "\n")


def voc2007(root):
    images = {"trainval": [f"{n:06d}" for n in range(8)], "test": ["000008", "000009"]}
    for part, names in images.items():
        for image in names:
            picture(root / "JPEGImages" / f"{image}.jpg")
        for column, kind in enumerate(CLASSES):
            labels = [f"{name} {1 if (int(name) + column) % 3 else -1:2d}" for name in names]
            write(root / "ImageSets" / "Main" / f"{kind}_{part}.txt", labels)


def coco(root):
    for name, images in (("train2014", range(1, 9)), ("val2014", range(9, 11))):
        content = {
            "images": [{"id": image, "file_name": f"{image:012d}.jpg"} for image in images],
            "annotations": [
                {"image_id": image, "category_id": category}
                for image in images
                for category in range(1, 81)
                if (image + category) % 3
            ],
            "categories": [{"id": number, "name": f"kind {number}"} for number in range(1, 81)],
        }
        for image in images:
            picture(root / name / f"{image:012d}.jpg")
        write(root / "annotations" / f"instances_{name}.json", [json.dumps(content)])


def nus_wide(root):
    for part, numbers in (("Train", range(8)), ("Test", range(8, 10))):
        write(root / "ImageList" / f"{part}Imagelist.txt", [f"zoo\\{n}.jpg" for n in numbers])
        for number in numbers:
            picture(root / "Flickr" / "zoo" / f"{number}.jpg")
        for concept in range(81):
            file = root / "Groundtruth" / "TrainTestLabels" / f"Labels_{concept}_{part}.txt"
            write(file, [str(int((number + concept) % 3 > 0)) for number in numbers])


def fgvc_aircraft(root):
    data = root / "fgvc-aircraft-2013b" / "data"
    write(data / "variants.txt", ["707-320", "Boeing 717"])
    for number, part in enumerate(("train", "val", "test")):
        images = {f"{10 * number + image:07d}": image % 2 for image in range(4)}
        for image in images:
            picture(data / "images" / f"{image}.jpg")
        names = ("707-320", "Boeing 717")
        lines = [f"{image} {names[variant]}" for image, variant in images.items()]
        write(data / f"images_variant_{part}.txt", lines)


def flowers102(root):
    for image in range(1, 13):
        picture(root / "flowers-102" / "jpg" / f"image_{image:05d}.jpg")
    labels = np.array([[1, 102] * 6], dtype=float)
    savemat(root / "flowers-102" / "imagelabels.mat", {"labels": labels})
    parts = {"trnid": [[1, 2, 3, 4]], "valid": [[5, 6, 7, 8]], "tstid": [[9, 10, 11, 12]]}
    savemat(root / "flowers-102" / "setid.mat", {key: np.array(ids) for key, ids in parts.items()})


def birds(root, classes=(1, 2, 3, 4, 101, 102)):
    images = {f"{number:04d}-ab": classes[number // 4] for number in range(4 * len(classes))}
    for image, kind in images.items():
        picture(root / "images" / f"{kind:03d}.Bird" / f"{image}.jpg")
    write(root / "images.txt", [f"{n} {kind:03d}.Bird/{n}.jpg" for n, kind in images.items()])
    write(root / "image_class_labels.txt", [f"{n} {kind}" for n, kind in images.items()])
    write(root / "train_test_split.txt", [f"{n} {int(int(n[:4]) % 4 > 0)}" for n in images])
    write(root / "classes.txt", [f"{kind} Bird {kind}" for kind in range(1, 201)])


def stanford_dogs(root):
    for part, images in (("train", "abcd"), ("test", "ef")):
        kinds = {"n02085620-Chihuahua": 1, "n02116738-African_hunting_dog": 120}
        listed = {f"{kind}/{image}.jpg": kinds[kind] for kind in kinds for image in images}
        for image in listed:
            picture(root / "Images" / image)
        paths = np.array([[path] for path in listed], dtype=object)
        labels = np.array(list(listed.values()))[:, None]
        savemat(root / f"{part}_list.mat", {"file_list": paths, "labels": labels})


def cars196(root):
    cars = [(kind, test) for kind in (1, 2, 3, 97, 98, 99, 196) for test in (0, 0, 0, 1)]
    kind = [("relative_im_path", object), ("class", object), ("test", object)]
    rows = [(f"car_ims/{n:06d}.jpg", float(car), test) for n, (car, test) in enumerate(cars, 1)]
    for file, _, _ in rows:
        picture(root / file)
    names = np.array([[f"Car {number}" for number in range(1, 197)]], dtype=object)
    annotations = np.array([rows], dtype=kind)
    savemat(root / "cars_annos.mat", {"annotations": annotations, "class_names": names})


def stanford_online_products(root):
    for name, products in (("train", range(1, 6)), ("test", range(11318, 11320))):
        images = [f"lamp_final/{product}_{view}.JPG" for product in products for view in range(2)]
        lines = [f"{n} {Path(file).name.split('_')[0]} 7 {file}" for n, file in enumerate(images)]
        for file in images:
            picture(root / file)
        write(root / f"Ebay_{name}.txt", ["image_id class_id super_class_id path", *lines])


def mpii_pose(root, train=20, test=8):
    poses = np.random.default_rng(0).permutation(train + test).astype(float)
    for part, numbers in (("0", range(train)), ("1", range(train, train + test))):
        for number in numbers:
            picture(root / part / f"{number:05d}.png")
    distance = np.abs(poses[:, None] - poses)
    inside = distance[:train, :train]
    order = inside.argsort(1)[:, 1:]
    lists = {"list_nn": order, "dist_nn": np.take_along_axis(inside, order, 1)}
    for name, rows in lists.items():
        (root / f"{name}.pkl").write_bytes(pickle.dumps({"trn": rows.tolist()}, 2))
    savemat(root / "dist_pose_val.mat", {"dist_pose_val": distance[train:, train:]})


def regression_table(root):
    splits = ["train"] * 12 + ["val"] * 6 + ["test"] * 6
    lines = [f"{image}.png,{image},{image % 5},{split}" for image, split in enumerate(splits)]
    for image in range(len(splits)):
        picture(root / f"{image}.png")
    write(root / "table.csv", ["image,age,weight,split", *lines])


def image_folder(root):
    for label in "abcdefgh":
        for number in range(3):
            picture(root / label / f"{number}.png")


TREES = {
    "COCO": coco,
    "CUB200": birds,
    "Cars196": cars196,
    "FGVCAircraft": fgvc_aircraft,
    "Flowers102": flowers102,
    "ImageFolder": image_folder,
    "MPIIPose": mpii_pose,
    "NABirds": birds,
    "NUSWIDE": nus_wide,
    "RegressionTable": regression_table,
    "StanfordDogs": stanford_dogs,
    "StanfordOnlineProducts": stanford_online_products,
    "VOC2007": voc2007,
}


FILES = [
    str(file)
    for file in sorted(Path("experiments").rglob("*.yaml"))
    if file.parent.name != "trainer" and not file.stem.startswith("sweep")
]
SIZE = 32
FEW = {"classes_per_batch": 2, "samples_per_class": 2, "batch_size": 4}
SMALL = {
    "MPIIPose": {"batch_size": 8, "queries": 2, "validation_fraction": 0.3},
    "RegressionTable": {"batch_size": 8},
    "DigitPoses": {"train_scenes": 80, "val_scenes": "[8, 40]", "test_scenes": "[8, 40]"},
    "DigitRelevance": {"train_scenes": 80, "val_scenes": "[8, 40]", "test_scenes": "[8, 40]"},
    "DigitScenes": {"train_scenes": 80, "val_scenes": 40, "test_scenes": 40},
}
PICTURES = {"curves": {}, "gallery": {"queries": 2, "neighbours": 2}, "map": {"points": 12}}
SHORT = {
    "max_steps": 2,
    "limit_train_batches": 2,
    "log_every_n_steps": 1,
    "val_check_interval": 1.0,
    "check_val_every_n_epoch": 1,
    "accelerator": "cpu",
    "devices": 1,
    "enable_progress_bar": "false",
}


def read(file):
    return yaml.safe_load(Path(file).read_text())


def command(file):
    """The words of the command that a file opens with."""
    return shlex.split(Path(file).read_text().splitlines()[0].removeprefix("# "))


def files(words):
    """What a command's options -c name."""
    return [file for option, file in itertools.pairwise(words) if option == "-c"]


def merged(base, variant):
    """Both of a base and a variant; the variant's value wins, and its null drops the base's."""
    if not isinstance(base, dict) or not isinstance(variant, dict):
        return variant
    both = {**base, **{key: merged(base.get(key, {}), value) for key, value in variant.items()}}
    return {key: value for key, value in both.items() if value is not None}


def configuration(file):
    """What the files of its command say together."""
    together = {}
    for each in files(command(file)):
        together = merged(together, read(each))
    return together


def named(path):
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def parts(node, path=""):
    """Every `class_path` below a node of a configuration, by its key on the command line."""
    if isinstance(node, dict):
        if "class_path" in node:
            yield path, node["class_path"], node.get("init_args", {})
        for key, value in node.items():
            yield from parts(value, f"{path}.{key}" if path else key)


def leaves(node, path=()):
    """Every value of a configuration that is no mapping, by its keys."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from leaves(value, (*path, key))
    else:
        yield path, node


def defaults(kind):
    """Of a class and of what its `**options` go to."""
    return {
        name: parameter.default
        for base in reversed(kind.__mro__)
        if "__init__" in vars(base)
        for name, parameter in inspect.signature(base.__init__).parameters.items()
    }


def smaller_parts(config, root):
    """Small trunks, as wide as VGG-16 where heads are made for it; rules that learn briefly."""
    for key, name, arguments in parts({key: config[key] for key in ("model", "callbacks")}):
        if "root" in arguments:
            yield f"--{key}.init_args.root", str(root)
        if name in ("ranklight.models.TorchvisionTrunk", "ranklight.models.TimmTrunk"):
            wide = 128 if arguments["name"] == "vgg16" else 8
            small = {"in_channels": 3, "width": wide}
            yield (
                f"--{key}",
                json.dumps({"class_path": "ranklight.models.SmallConvNet", "init_args": small}),
            )
        if name == "ranklight.models.TwoHeads" and arguments.get("image_shape", [3])[0] == 3:
            yield f"--{key}.init_args.image_shape", f"[3, {SIZE}, {SIZE}]"
        if ".decisions." in key and "steps" in defaults(named(name)):
            yield f"--{key}.init_args.steps", "2"


def smaller_data(config, root):
    """A tree of few small images in the data set's own format, and batches that it can fill."""
    data = config["data"]
    kind = named(data["class_path"])
    options = dict(SMALL.get(kind.__name__, {}))
    if "root" in defaults(kind):
        if kind.__name__ not in TREES:
            pytest.fail(f"no small tree is written for {kind.__name__}: add its function to TREES")
        TREES[kind.__name__](root)
        options = smaller_files(kind, root) | few(kind, data.get("init_args", {})) | options
    for key, value in options.items():
        yield f"--data.init_args.{key}", str(value)


def smaller_files(kind, root):
    options = {"root": root, "num_workers": 0, "image_size": SIZE, "resize": SIZE}
    if "table" in defaults(kind):
        options["table"] = root / "table.csv"
    return {key: value for key, value in options.items() if key in defaults(kind)}


def few(kind, given):
    options = {key: FEW[key] for key in given.keys() & FEW.keys()}
    if issubclass(kind, MultiLabelData):
        options |= {"batch_size": FEW["batch_size"]}
    if issubclass(kind, ImageFolder):
        options |= {"classes_per_batch": 2, "samples_per_class": 2}
    if issubclass(kind, (ClassData, MultiLabelData)):
        options |= {"check_counts": "false", "validation_fraction": 0.3}
    return options


def smaller_pictures(config, wanted):
    """Few points in pictures, or none."""
    for name in PICTURES.keys() & config["callbacks"].keys():
        if not wanted:
            yield f"--callbacks.{name}", "null"
            continue
        for key, value in PICTURES[name].items():
            yield f"--callbacks.{name}.init_args.{key}", str(value)


@pytest.mark.filterwarnings("ignore:.*never occur in training")
@pytest.mark.parametrize("file", FILES)
def test_its_command_trains_and_tests(file, tmp_path, monkeypatch):
    monkeypatch.setenv("RANKLIGHT_RUN", "restored after the test")
    monkeypatch.delenv("RANKLIGHT_RUN")
    config, root = configuration(file), tmp_path / "data"
    on_files = [*smaller_data(config, root)]
    drawn = not root.exists() and files(command(file)) == [file]
    smaller = [*smaller_parts(config, root), *on_files, *smaller_pictures(config, drawn)]
    smaller += [(f"--trainer.{key}", str(value)) for key, value in SHORT.items()]
    words = [*command(file), "--runs", str(tmp_path / "runs"), *itertools.chain(*smaller)]
    monkeypatch.setattr(sys, "argv", words)
    main()
    run = tmp_path / "runs" / Path(file).relative_to("experiments").with_suffix("") / "latest"
    assert (run / "checkpoints" / "best.ckpt").is_file()
    columns = (run / "metrics.csv").read_text().splitlines()[0].split(",")
    assert config.get("best", {}).get("monitor", "val/recall@1") in columns
    assert "train/loss" in columns
    assert any(column.startswith("test/") for column in columns)


@pytest.mark.parametrize("file", FILES)
def test_it_opens_with_its_command_and_what_to_expect(file):
    words, lines = command(file), Path(file).read_text().splitlines()
    assert words[:3] == ["ranklight", "fit", "-c"]
    assert files(words)[-1] == file
    data = configuration(file)["data"]
    given = "root" in data.get("init_args", {})
    needed = "root" in defaults(named(data["class_path"]))
    assert needed == (given or "--data.root" in words)
    comment = "\n".join(itertools.takewhile(lambda line: line.startswith("#"), lines))
    assert any(word in comment for word in ("Paper:", "Expect", "Measured"))


@pytest.mark.parametrize("file", [file for file in FILES if len(files(command(file))) > 1])
def test_a_variant_says_only_what_differs(file):
    base, variant = files(command(file))
    said = dict(leaves(read(base)))
    same = [path for path, value in leaves(read(variant)) if path in said and said[path] == value]
    assert all("decisions" in path for path in same), "only rules are replaced whole"


@pytest.mark.parametrize("file", FILES)
def test_pretrained_weights_exist(file):
    for _, name, arguments in parts(configuration(file)):
        if name == "ranklight.models.TorchvisionTrunk" and "weights" in arguments:
            torchvision.models.get_model_weights(arguments["name"])[arguments["weights"]]


@pytest.mark.parametrize("file", sorted(Path("experiments").rglob("sweep*.yaml")))
def test_a_sweep_turns_knobs_that_exist(file, monkeypatch, capsys):
    sweep = read(file)
    words = [word for word in sweep["command"] if not word.startswith("${")]
    for key, choice in sweep["parameters"].items():
        words.append(f"--{key}={choice['values'][0]}")
    monkeypatch.setattr(sys, "argv", [sweep["program"], *words, "--print_config"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert not stopped.value.code
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["model"]["class_path"] == read(*files(words))["model"]["class_path"]
