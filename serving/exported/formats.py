"""The two files that a network can become, and how each is opened where ranklight is not."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from numpy.typing import NDArray
from torch import fx, nn
from torch.export import Dim, ExportedProgram

from ranklight.models import Pictures
from ranklight.serving.exported.packages import check_installed

INPUT = "images"
Said = dict[str, NDArray[Any]]
Graph = Callable[[NDArray[Any]], Said]
"""Pictures `n c h w` to arrays by name."""


@runtime_checkable
class Format(Protocol):
    """One kind of file.

    Attributes:
        file: Its name in the exported folder.
    """

    file: str

    def check(self) -> None:
        """Refuse to begin without the packages that it takes."""

    def write(self, program: ExportedProgram, outputs: Sequence[str], path: Path) -> None:
        """Write the file."""

    def open(self, path: Path) -> Graph:
        """The network of a file, from arrays to arrays by name."""


class TorchFormat:
    """`torch.export`'s archive: opened by torch alone, in Python or C++."""

    file = "model.pt2"

    def check(self) -> None:
        """Nothing beyond torch is needed."""

    def write(self, program: ExportedProgram, outputs: Sequence[str], path: Path) -> None:
        """Write the archive."""
        torch.export.save(program, path)

    def open(self, path: Path) -> Graph:
        """The archive's network."""
        network = torch.export.load(path).module()

        def answer(images: NDArray[Any]) -> Said:
            return {name: said.numpy() for name, said in network(torch.from_numpy(images)).items()}

        return answer


class OnnxFormat:
    """ONNX: opened by onnxruntime, OpenVINO, TensorRT, and in browsers."""

    file = "model.onnx"

    def check(self) -> None:
        """Refuse to begin without onnx, onnxscript and onnxruntime.

        Raises:
            ImportError: One is not installed.
        """
        check_installed("ONNX", "export", "onnx", "onnxscript", "onnxruntime")

    def write(self, program: ExportedProgram, outputs: Sequence[str], path: Path) -> None:
        """Write the graph; weights above 2 GB, which one file cannot hold, go beside it."""
        from onnx_ir import Shape

        converted = torch.onnx.export(
            program,
            (),
            dynamo=True,
            verbose=False,
            input_names=[INPUT],
            output_names=list(outputs),
            custom_translation_table={torch.ops.aten.sort.stable: _stable_sort()},
        )
        assert converted is not None
        for value in (*converted.model.graph.inputs, *converted.model.graph.outputs):
            assert value.shape is not None
            value.shape = Shape(["batch", *value.shape.dims[1:]])
        converted.save(str(path))

    def open(self, path: Path) -> Graph:
        """The graph in onnxruntime, on the CPU."""
        from onnxruntime import InferenceSession

        session = InferenceSession(path, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]

        def answer(images: NDArray[Any]) -> Said:
            return dict(zip(names, session.run(names, {INPUT: images}), strict=True))

        return answer


GRAPHS = (OnnxFormat.file, TorchFormat.file)


def format_of(name: str | None) -> Format | None:
    """The format that a command line's --format means."""
    return {"onnx": OnnxFormat(), "torch": TorchFormat(), None: None}[name]


def program_of(network: nn.Module, pictures: Pictures) -> ExportedProgram:
    """The graph of a network for batches of any size, of pictures of this one.

    Raises:
        ValueError: The network looks at values, or takes batches of one size only.
    """
    try:
        program = torch.export.export(
            network, (pictures[:2],), dynamic_shapes={INPUT: {0: Dim("batch", min=1)}}
        )
    # What torch raises here has no common kind but this.
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(
            "the network has no graph that takes batches of any size, as an export needs: "
            f"{type(error).__name__}: {reason}. Its code may not ask what a tensor holds"
        ) from error
    _forget_source(program)
    return program


def _forget_source(program: ExportedProgram) -> None:
    """Lines and paths of the machine where it was made are nobody else's business."""
    for module in program.graph_module.modules():
        if isinstance(module, fx.GraphModule):
            for node in module.graph.nodes:
                node.meta.pop("stack_trace", None)


def _stable_sort() -> Callable[..., Any]:
    """A translation that torch lacks: ONNX's TopK puts the smaller index first among equals."""
    from onnxscript import opset18

    op: Any = opset18

    def sort(self: Any, stable: bool = True, dim: int = -1, descending: bool = False) -> Any:
        size = op.Gather(op.Shape(self), op.Constant(value_ints=[dim]))
        return op.TopK(self, size, axis=dim, largest=int(descending), sorted=1)

    return sort
