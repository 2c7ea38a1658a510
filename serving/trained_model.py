"""`ranklight.load`: a trained model without its trainer and without its data set."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor, nn

from ranklight.datamodules.randomness import seeded
from ranklight.models import Inputs, Pictures
from ranklight.running.file_progress import file_progress
from ranklight.running.provenance import weights_hash
from ranklight.running.saved_parts import build_data_module, build_module
from ranklight.running.stand_in_data import StandInData
from ranklight.serving.answers import Answers, answering_of
from ranklight.serving.pictures import Images, sources_of
from ranklight.serving.reading import Sources, read_batches
from ranklight.serving.stored import Stored, read_stored
from ranklight.serving.view import View

_ALMOST_ONE = 1e-3


class TrainedModel:
    """A trained model that takes images and gives vectors, scores and labels.

    Args:
        stored: What was read of it.
        device: Where it runs; None: the first GPU, or else the CPU.

    Attributes:
        module: As it was trained, without what only training needs.
        encoder: From a batch of pictures (`n c h w`, bytes or 0..1) to embeddings `n d`; in
            evaluation mode.
        transform: From an RGB picture (`3 h w`, bytes) to what the encoder takes, as in evaluation.
        class_names: Of the data it was trained on, None where they have none.
        num_classes: That it scores; 0 without a classifier.
        decisions: Names of its fitted decisions.
        embedding_size: d.
        normalised: Whether embeddings are unit vectors.
        encoder_hash: 16 hexadecimal digits that name the encoder's weights.
        similarity_threshold: The S = 1 − ½ d² from which on two images are taken for the same
            class; None where no VerificationEvaluation fitted one.
        provenance: `run`, `checkpoint`, `epoch`, `step` and `stages`, the records of run.json.
    """

    def __init__(self, stored: Stored, device: str | torch.device | None = None) -> None:
        self.stored = stored
        self.device = usable_device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        data: Any = build_data_module(stored.configuration)
        seen = stored.seen_data
        shape = _picture_shape(seen, data)
        module = _build(stored, shape)
        self.module: nn.Module = module.eval().requires_grad_(False).to(self.device)
        self._answering = answering_of(self.module)
        self.encoder: nn.Module = self._answering.encoder.eval()
        self.transform = View(data, shape)
        self.class_names: list[str] | None = list(seen.get("class_names", ())) or None
        self.num_classes: int = seen.get("num_classes") or 0
        self.decisions = list(self._answering.decisions)
        self.embedding_size, self.normalised = self._measure()
        self.encoder_hash = weights_hash(self.encoder)
        self.similarity_threshold = stored.threshold
        self.provenance = stored.provenance

    def embed(
        self, images: Images, batch_size: int = 128, workers: int = 0
    ) -> Float32[np.ndarray, "n d"]:
        """The embedding of each image, in order.

        Args:
            images: A file, a folder (its images sorted by path), Pillow images, arrays (`h w 3` or
                `n h w 3`), tensors (`3 h w` or `n 3 h w`), or a list of these.
            batch_size: Images that the network is given at once; halved where the device has no
                memory for them.
            workers: Processes that read files.

        Raises:
            ValueError: An image cannot be read; names it.
        """
        parts = [answers.embeddings for answers in self._all(images, None, batch_size, workers)]
        return _numpy(parts, self.embedding_size)

    def scores(
        self, images: Images, batch_size: int = 128, workers: int = 0
    ) -> Float32[np.ndarray, "n c"]:
        """The score of each class: logits of multi-label models, probabilities of two heads.

        Args:
            images: As of `embed`.
            batch_size: As of `embed`.
            workers: As of `embed`.

        Raises:
            TypeError: The model has no classes.
            ValueError: An image cannot be read; names it.
        """
        self._check_classifies()
        every = self._all(images, None, batch_size, workers)
        parts = [answers.scores for answers in every if answers.scores is not None]
        return _numpy(parts, self.num_classes)

    def labels(
        self,
        images: Images,
        decision: str | None = None,
        batch_size: int = 128,
        workers: int = 0,
    ) -> list[list[str]]:
        """The names of the labels that are said of each image; of two heads the likeliest class.

        Args:
            images: As of `embed`.
            decision: Which of `decisions`; may be left out where there is one.
            batch_size: As of `embed`.
            workers: As of `embed`.

        Raises:
            TypeError: The model has no classes.
            ValueError: There is no such decision, or several and none is named; an image cannot be
                read.
        """
        self._check_classifies()
        name = self.decision(decision)
        return [
            said
            for answers in self._all(images, name, batch_size, workers)
            for said in self.names_of(answers)
        ]

    def decision(self, name: str | None = None) -> str:
        """The name of the decision that is meant, the only one where none is named.

        Raises:
            ValueError: There is no such decision, or none is named and there is not one.
        """
        if name is None and len(self.decisions) == 1:
            return self.decisions[0]
        if name not in self.decisions:
            there = ", ".join(self.decisions) or "none: fit one by `ranklight decide`"
            raise ValueError(f"needed is one of the model's fitted decisions, {there}; got {name}")
        return name

    @torch.no_grad()
    def answer(self, pictures: Pictures, decision: str | None = None) -> Answers:
        """All that is said of a batch of pictures, on the CPU, in one pass; halves of it in two.

        Args:
            pictures: As `transform` gives them, `n c h w`.
            decision: Which of `decisions` decides; None: none does.
        """
        if not len(pictures):
            # Not every network takes a batch of none.
            return _none_of(self.answer(pictures.new_zeros(1, *pictures.shape[1:]), decision))
        try:
            given = self._answering(pictures.to(self.device, non_blocking=True), decision)
        except torch.OutOfMemoryError:
            if len(pictures) == 1:
                raise
        else:
            return _on_cpu(given)
        halves = [self.answer(half, decision) for half in pictures.chunk(2)]
        return Answers(*map(_joined, zip(*halves, strict=True)))

    def names_of(self, answers: Answers) -> list[list[str]]:
        """The decided labels of each picture by name, by number where classes have no names."""
        assert answers.decided is not None
        names = self.class_names or [str(number) for number in range(self.num_classes)]
        return [[names[k] for k in row.nonzero().flatten().tolist()] for row in answers.decided]

    def _all(
        self, images: Images, decision: str | None, batch_size: int, workers: int
    ) -> Iterator[Answers]:
        sources = Sources(list(sources_of(images, self.transform.background)), self.transform)
        with file_progress("embedding", len(sources)) as advance:
            for read in read_batches(sources, batch_size, workers):
                if broken := [error for error in read.errors if error]:
                    raise ValueError(broken[0])
                yield self.answer(read.pictures, decision)
                advance(len(read.pictures))

    def _measure(self) -> tuple[int, bool]:
        """Size of an embedding, and whether it is a unit vector, by two pictures of noise."""
        draw = torch.Generator().manual_seed(0)
        noise = torch.randint(256, (2, 3, 300, 400), generator=draw).to(torch.uint8)
        embeddings = self.answer(torch.stack([self.transform(each) for each in noise])).embeddings
        lengths = embeddings.norm(dim=1)
        return embeddings.shape[1], bool(((lengths - 1).abs() < _ALMOST_ONE).all())

    def _check_classifies(self) -> None:
        if not self.num_classes:
            raise TypeError(
                "scores and labels need a multi-label or a two-head model; this one gives "
                "embeddings alone"
            )


def load(path: str | Path, device: str | torch.device | None = None) -> TrainedModel:
    """Load a trained model: without Lightning's trainer, and without the data set.

    Weights are read as data alone, never as a program; averaged weights where the run averaged.

    Args:
        path: A run's directory, such as runs/digits/multi_similarity/latest (its best checkpoint,
            else its last); a checkpoint; or a folder that `ranklight export` wrote.
        device: Where it runs; None: the first GPU, or else the CPU.

    Raises:
        FileNotFoundError: There is nothing of these.
        ValueError: A checkpoint of another architecture than its configuration describes, or one
            that cannot be built here; there is no such device.
    """
    return TrainedModel(read_stored(path), device)


def usable_device(device: str | torch.device) -> torch.device:
    """A device by its name.

    Raises:
        ValueError: There is no such device, or torch cannot use it here.
    """
    try:
        found = torch.device(device)
        torch.empty(1, device=found)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"a device must be one that torch can use here, such as cpu or cuda:0; got {device}: "
            f"{reason}"
        ) from error
    return found


def _build(stored: Stored, shape: tuple[int, int, int]) -> nn.Module:
    """The module with its weights, without a trace in the caller's random numbers."""
    with seeded(0):
        module: Any = build_module(stored.configuration)
        module.complete(StandInData(stored.seen_data.get("num_classes") or 0, shape))
    weights = dict(stored.weights)
    module.on_load_checkpoint({"state_dict": weights})
    module.load_state_dict(weights)
    _normalise_as(module, stored.seen_data.get("normalisation", {}))
    built: nn.Module = module
    return built


def _picture_shape(seen: dict[str, Any], data: Any) -> tuple[int, int, int]:
    if seen.get("picture_shape") is not None:
        channels, height, width = seen["picture_shape"]
        return channels, height, width
    if hasattr(data, "eval_transforms"):
        return (3, *data.image_size)
    raise ValueError(
        "the checkpoint does not say how large its pictures are, as one of ranklight 0.2 or older: "
        "go on with the run for a step, by this version"
    )


def _normalise_as(module: nn.Module, normalisation: dict[str, Any]) -> None:
    """Take means and deviations as they were in training, whatever a trunk's name says today."""
    for name, part in module.named_modules():
        if isinstance(part, Inputs) and name in normalisation:
            mean, std = (torch.tensor(numbers).view(-1, 1, 1) for numbers in normalisation[name])
            part.mean, part.std = mean.to(part.mean), std.to(part.std)


def _on_cpu(answers: Answers) -> Answers:
    embeddings, scores, decided = answers
    return Answers(
        embeddings.float().cpu(),
        None if scores is None else scores.float().cpu(),
        None if decided is None else decided.cpu(),
    )


def _none_of(answers: Answers) -> Answers:
    return Answers(
        answers.embeddings[:0],
        None if answers.scores is None else answers.scores[:0],
        None if answers.decided is None else answers.decided[:0],
    )


def _joined(parts: Sequence[Tensor | None]) -> Any:
    there = [part for part in parts if part is not None]
    return torch.cat(there) if there else None


def _numpy(parts: list[Tensor], width: int) -> Float32[np.ndarray, "n k"]:
    none = torch.zeros(0, width)
    rows: Float32[np.ndarray, "n k"] = torch.cat([none, *parts]).numpy()
    return rows
