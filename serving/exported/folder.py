"""An exported folder: all that a trained model is, tried before it is there."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from ranklight.files.writing import naming, replacing_folder
from ranklight.serving.exported.contract import Contract, contract_of, read_contract
from ranklight.serving.exported.formats import Format, program_of
from ranklight.serving.exported.network import ExportedNetwork
from ranklight.serving.exported.packages import check_installed
from ranklight.serving.exported.public import public
from ranklight.serving.exported.self_test import Example, Tested, ask, compare_graph
from ranklight.serving.stored import CONTRACT, write_stored
from ranklight.serving.trained_model import TrainedModel


class Wanted(NamedTuple):
    """What a folder is to hold beside weights, configuration and contract.

    Args:
        format: Of the graph; None leaves it out.
        decision: The rule that decides on labels; None: the only one that was fitted, if it is one.
        half: Keep the graph's weights in float16.
        tolerance: The largest relative difference from the run; None: 1e-4, 1e-2 in half precision.
        images: Files and folders for the self-test; None draws pictures.
    """

    format: Format | None = None
    decision: str | None = None
    half: bool = False
    tolerance: float | None = None
    images: Sequence[str] | None = None


def export(
    trained: TrainedModel,
    output: Path,
    wanted: Wanted,
    overwrite: bool = False,
    begin: Callable[[str], object] = lambda stage: None,
) -> Contract:
    """Write a folder with graph, weights, configuration and contract, all or nothing.

    Args:
        trained: The model.
        output: The folder.
        wanted: What it is to hold.
        overwrite: Replace a folder that an export wrote before.
        begin: Told of each stage of the work.

    Returns:
        What `contract.json` says.

    Raises:
        FileExistsError: There is something already.
        ImportError: A package is missing.
        ValueError: The model has no graph, or the graph does not answer as the run does.
    """
    check_free(output, overwrite)
    check_installed("an exported folder", "export", "safetensors")
    if wanted.format is not None:
        wanted.format.check()
    begin("asking the run")
    example = ask(trained, wanted.decision, wanted.images)
    stored = public(trained.stored)
    with replacing_folder(output) as folder, naming(output):
        tested = None
        if wanted.format is not None:
            tested = _write_graph(trained, wanted, wanted.format, example, folder, begin)
        begin("writing the weights")
        write_stored(stored, folder)
        contract = contract_of(trained, stored, example, tested, folder)
        (folder / CONTRACT).write_text(json.dumps(contract, indent=1) + "\n", encoding="utf-8")
    return contract


def check_free(output: Path, overwrite: bool) -> None:
    """Refuse to replace what is there, unless asked to, and anything but an exported folder.

    Raises:
        FileExistsError: There is something.
    """
    if not output.exists():
        return
    if not overwrite:
        raise FileExistsError(
            f"{output} is there already: give another --output, or --overwrite to replace it"
        )
    if not (output / CONTRACT).is_file():
        raise FileExistsError(
            f"{output} has no {CONTRACT}, so it is not of `ranklight export` and is not replaced: "
            "give another --output"
        )


def copy_export(folder: Path, output: Path) -> None:
    """Copy the files that a folder's contract names, and it, and none that lies beside them.

    Raises:
        FileNotFoundError: It is no exported folder, or a file is missing.
        ValueError: A file is not the one that was exported.
    """
    output.mkdir()
    for name in (*read_contract(folder)["files"], CONTRACT):
        shutil.copyfile(folder / name, output / name)


def _write_graph(
    trained: TrainedModel,
    wanted: Wanted,
    kind: Format,
    example: Example,
    folder: Path,
    begin: Callable[[str], object],
) -> Tested:
    begin("making the graph")
    network = ExportedNetwork(trained.module, example.decision, wanted.half)
    program = program_of(network, example.pictures)
    begin("writing the graph")
    kind.write(program, list(example.answers), folder / kind.file)
    begin("comparing it with the run")
    return compare_graph(kind.open(folder / kind.file), example, wanted.half, wanted.tolerance)
