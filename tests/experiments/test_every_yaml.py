import importlib
import inspect
import itertools
import json
import shlex
import sys
from pathlib import Path

import pytest
import torchvision
import yaml

from ranklight.__main__ import main
from ranklight.datamodules import ImageFolder, ImageTable
from ranklight.datamodules.class_data import ClassData
from ranklight.datamodules.evaluation_data import EvaluationData
from ranklight.datamodules.multi_label_data import MultiLabelData
from ranklight.datamodules.published.gldv2 import GLDv2
from ranklight.datamodules.query_gallery_data import QueryGalleryData
from tests.commands.command_line import build_parsers_once, part
from tests.trees import TREES

FILES = [
    str(file)
    for file in sorted(Path("experiments").rglob("*.yaml"))
    if file.parent.name != "trainer" and not file.stem.startswith("sweep")
]
SIZE = 32
FEW = {"classes_per_batch": 2, "samples_per_class": 2, "batch_size": 4}
SMALL = {
    "MPIIPose": {"batch_size": 8, "queries": 2, "validation_fraction": 0.3},
    "RegressionTable": {"batch_size": 8, "labels": "[age, weight]"},
    "DigitPoses": {"train_scenes": 80, "val_scenes": "[8, 40]", "test_scenes": "[8, 40]"},
    "DigitRelevance": {"train_scenes": 80, "val_scenes": "[8, 40]", "test_scenes": "[8, 40]"},
    "DigitScenes": {"train_scenes": 80, "val_scenes": 40, "test_scenes": 40},
}
SMALL_BATCHES = {
    name: {"class_path": f"ranklight.datamodules.{kind}", "init_args": arguments}
    for name, kind, arguments in (
        ("OneClass", "PxK", {"classes_per_batch": 2, "samples_per_class": 2}),
        ("LabelSet", "ShuffledBatches", {"batch_size": 4}),
        ("Numbers", "NearestBatches", {"batch_size": 8}),
        ("GradedRelevance", "TripletBatches", {"triplets_per_batch": 2}),
        ("PairRelevance", "TripletBatches", {"triplets_per_batch": 2}),
    )
}
TRANSFORMER = part("ranklight.models.TimmTrunk", name="test_vit", weights=None)
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
    """Every class below a node of a configuration, by its key on the command line."""
    if isinstance(node, str) and node.startswith("ranklight."):
        yield path, node, {}
    if isinstance(node, dict):
        if "class_path" in node:
            yield path, node["class_path"], node.get("init_args", {})
        for key, value in node.items():
            if key != "class_path":
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
    """Small trunks, as wide as VGG-16 where heads are made for it; what would last, briefly."""
    for key, name, arguments in parts({key: config[key] for key in ("model", "callbacks")}):
        if "root" in arguments:
            yield f"--{key}.init_args.root", str(root)
        if name in ("ranklight.models.TorchvisionTrunk", "ranklight.models.TimmTrunk"):
            wide = 128 if arguments["name"] == "vgg16" else 8
            small = part("ranklight.models.SmallConvNet", in_channels=3, width=wide)
            updated = key.endswith(".trunk.init_args.trunk")
            yield f"--{key}", json.dumps(TRANSFORMER if updated else small)
        if name == "ranklight.lightning_modules.WarmUpCosine":
            yield f"--{key}.init_args.warm_up_steps", "1"
        if ".decisions." in key and "steps" in defaults(named(name)):
            yield f"--{key}.init_args.steps", "2"


def smaller_data(config, root):
    """A tree of few small images in the data set's own format, and batches that it can fill."""
    yield from smaller_files_of(config["data"], root, "--data")


def smaller_files_of(data, root, prefix):
    kind = named(data["class_path"])
    options = dict(SMALL.get(kind.__name__, {}))
    if "root" in defaults(kind):
        if kind.__name__ not in TREES:
            pytest.fail(f"no small tree is written for {kind.__name__}: add its function to TREES")
        TREES[kind.__name__](root)
        taken = defaults(kind)  # a variant may name another class than its base
        given = {key: value for key, value in data.get("init_args", {}).items() if key in taken}
        options = smaller_files(kind, root, given) | few(kind, given) | options
        if kind is ImageTable:
            options |= small_table(given["labels"], root)
    for key, value in options.items():
        yield f"{prefix}.init_args.{key}", str(value)
    if training := data.get("init_args", {}).get("training"):
        yield from smaller_files_of(training, root / "training", f"{prefix}.init_args.training")


def smaller_files(kind, root, given):
    """Small pictures, also where transforms of a recipe's own say how large they are."""
    options = {"root": root, "num_workers": 0}
    own = {"train_transforms", "eval_transforms"} & given.keys()
    for key in own:
        options[key] = json.dumps(quarter_size(given[key]))
    options["image_size"] = quarter(given.get("image_size", 224)) if own else SIZE
    if "resize" in given:
        options["resize"] = options["image_size"]
    if "table" in defaults(kind):
        options["table"] = root / "table.csv"
    return {key: value for key, value in options.items() if key in defaults(kind)}


def quarter_size(transforms):
    if isinstance(transforms, list):
        return [quarter_size(each) for each in transforms]
    if isinstance(transforms, dict):
        return {
            key: quarter(value) if key == "size" else quarter_size(value)
            for key, value in transforms.items()
        }
    return transforms


def quarter(size):
    """A quarter of each side, in whole patches of a transformer."""
    return [quarter(side) for side in size] if isinstance(size, list) else size // 64 * 16


def small_table(labels, root):
    name = (labels if isinstance(labels, str) else labels["class_path"]).rpartition(".")[2]
    options = {"batches": json.dumps(SMALL_BATCHES[name])}
    if name == "PairRelevance":
        options["labels.init_args.pairs"] = root / "pairs.csv"
    if "column" in (labels.get("init_args", {}) if isinstance(labels, dict) else {}):
        options["labels.init_args.column"] = "label"
    return options


def few(kind, given):
    options = {key: FEW[key] for key in given.keys() & FEW.keys()}
    if issubclass(kind, MultiLabelData):
        options |= {"batch_size": FEW["batch_size"]}
    if issubclass(kind, ImageFolder):
        options |= {"classes_per_batch": 2, "samples_per_class": 2}
    if issubclass(kind, EvaluationData):
        options |= {"check_counts": "false"}
    if issubclass(kind, (ClassData, GLDv2, MultiLabelData, QueryGalleryData)):
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
    build_parsers_once(monkeypatch)
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
    build_parsers_once(monkeypatch)
    monkeypatch.setattr(sys, "argv", [sweep["program"], *words, "--print_config"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert not stopped.value.code
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["model"]["class_path"] == read(*files(words))["model"]["class_path"]
