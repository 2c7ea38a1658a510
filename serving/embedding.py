"""Images of a list embedded into a file: in parts, on one device or several."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch

from ranklight.running.file_progress import file_progress
from ranklight.serving.answers import Answers
from ranklight.serving.embedding_parts import EmbeddingParts, hash_of
from ranklight.serving.embeddings_file import About, embeddings_schema
from ranklight.serving.image_lists import ImageList
from ranklight.serving.reading import ReadPictures, Sources, read_batches
from ranklight.serving.trained_model import TrainedModel, load

if TYPE_CHECKING:
    import pyarrow

ROWS_IN_PART = 1024
_SECONDS = 0.5


class Job(NamedTuple):
    """What is embedded by what; plain values, which other processes can be given.

    Args:
        run: What to load.
        images: The list.
        output: The file to be.
        decision: Which decision says labels; None: none.
        batch_size: Images that the network is given at once.
        workers: Processes that read files, for each device.
        rows_in_part: How many images are lost at most when a process is killed.
    """

    run: str
    images: ImageList
    output: Path
    decision: str | None = None
    batch_size: int = 128
    workers: int = 0
    rows_in_part: int = ROWS_IN_PART

    @property
    def parts(self) -> EmbeddingParts:
        """What of it is there."""
        return EmbeddingParts(self.output, len(self.images.files), self.rows_in_part)


def schema_of(model: TrainedModel, job: Job) -> "pyarrow.Schema":
    """The columns of a job's file.

    Raises:
        ValueError: The table has a column that is called as one of ours.
    """
    about = About(
        model.encoder_hash,
        model.provenance.get("run"),
        model.normalised,
        model.similarity_threshold,
    )
    columns = job.images.columns
    return embeddings_schema(
        about,
        model.embedding_size,
        model.num_classes,
        job.decision is not None,
        None if columns is None else columns.schema,
    )


def plan_of(model: TrainedModel, job: Job) -> dict[str, object]:
    """What must be the same for parts of before to be gone on with."""
    return {
        "encoder": model.encoder_hash,
        "images": hash_of(job.images),
        "decision": job.decision,
        "rows in a part": job.rows_in_part,
    }


def embed_parts(model: TrainedModel, job: Job, devices: Sequence[str] = ()) -> None:
    """Write the parts of a job that are missing.

    Args:
        model: Loaded on the first device.
        job: What to do.
        devices: Where; more than one: a process for each, which takes its share of the parts.

    Raises:
        OSError: A part could not be written; those before it stay.
    """
    missing = job.parts.missing()
    rows = sum(len(job.parts.positions(number)) for number in missing)
    with file_progress("embedding", rows) as advance:
        if len(devices) < 2:
            for number in embed_share(model, job, missing):
                advance(len(job.parts.positions(number)))
            return
        with ProcessPoolExecutor(len(devices), mp_context=_processes()) as pool:
            shares = [
                pool.submit(
                    _embed_share_on, device, job, missing[first :: len(devices)], model.encoder_hash
                )
                for first, device in enumerate(devices)
            ]
            for number in _as_they_come(job, missing, shares):
                advance(len(job.parts.positions(number)))


def embed_share(model: TrainedModel, job: Job, numbers: Sequence[int]) -> Iterator[int]:
    """Write some parts; yields the number of each that is written."""
    parts, schema = job.parts, schema_of(model, job)
    positions = [position for number in numbers for position in parts.positions(number)]
    boxes = job.images.boxes
    sources = Sources(
        [job.images.files[position] for position in positions],
        model.transform,
        None if boxes is None else [boxes[position] for position in positions],
    )
    batches = (
        _rows(schema, model, read, model.answer(read.pictures, job.decision))
        for read in read_batches(sources, job.batch_size, job.workers)
    )
    sizes = [len(parts.positions(number)) for number in numbers]
    for number, own in zip(numbers, _regrouped(batches, sizes), strict=True):
        parts.write(number, _with_names(schema, own, job.images, parts.positions(number)))
        yield number


def _processes() -> BaseContext:
    """Processes that a GPU can be used in: of one that has imported all, and used none."""
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def _embed_share_on(device: str, job: Job, numbers: Sequence[int], encoder_hash: str) -> None:
    model = load(job.run, device)
    if model.encoder_hash != encoder_hash:
        raise ValueError(
            f"{job.run} has other weights than a moment ago, as while it is trained: give the file "
            "of one checkpoint, or wait for its end"
        )
    for _ in embed_share(model, job, numbers):
        pass


def _as_they_come(job: Job, missing: list[int], shares: list[Future[None]]) -> Iterator[int]:
    """The parts that other processes write, as they appear; raises what one of them raises."""
    running: set[Future[None]] = set(shares)
    while running:
        ended, running = wait(running, _SECONDS, FIRST_EXCEPTION)
        left = job.parts.missing()
        yield from (number for number in missing if number not in left)
        missing = left
        for share in ended:
            try:
                share.result()
            except BrokenProcessPool as error:
                raise ChildProcessError(
                    "a process that embeds was killed or crashed: most often the machine is out "
                    "of memory, then lower --batch_size or --workers; what was written stays"
                ) from error


def _rows(
    schema: "pyarrow.Schema", model: TrainedModel, read: ReadPictures, answers: Answers
) -> "pyarrow.Table":
    """A batch as rows, with nulls where an image is broken, without what the list knows."""
    import pyarrow as pa

    columns = {"embedding": _vectors(answers.embeddings, read)}
    columns["error"] = pa.array(read.errors, pa.string())
    if answers.scores is not None:
        columns["scores"] = _vectors(answers.scores, read)
    if answers.decided is not None:
        names: list[list[str] | None] = [None] * len(read.errors)
        for place, said in zip(read.readable, model.names_of(answers), strict=True):
            names[place] = said
        columns["decided"] = pa.array(names, pa.list_(pa.string()))
    return pa.table(columns)


def _vectors(values: torch.Tensor, read: ReadPictures) -> "pyarrow.Array":
    import pyarrow as pa

    width = values.shape[1]
    rows = torch.zeros(len(read.errors), width)
    rows[read.readable] = values
    broken = pa.array([error is not None for error in read.errors])
    flat = pa.array(rows.numpy().ravel())
    return pa.FixedSizeListArray.from_arrays(flat, width, mask=broken)


def _regrouped(
    tables: Iterable["pyarrow.Table"], sizes: Sequence[int]
) -> Iterator["pyarrow.Table"]:
    """Rows of tables as tables of these sizes."""
    import pyarrow as pa

    tables = iter(tables)
    waiting: list[pa.Table] = []
    for size in sizes:
        while sum(table.num_rows for table in waiting) < size:
            waiting.append(next(tables))
        together = pa.concat_tables(waiting)
        waiting = [together.slice(size)]
        yield together.slice(0, size)


def _with_names(
    schema: "pyarrow.Schema", rows: "pyarrow.Table", images: ImageList, positions: range
) -> "pyarrow.Table":
    """Rows with the names of their files and the columns of their table."""
    import pyarrow as pa

    columns = {name: rows.column(name) for name in rows.column_names}
    columns["file"] = pa.array(images.files[positions.start : positions.stop], pa.string())
    if images.columns is not None:
        own = images.columns.slice(positions.start, len(positions))
        columns |= {name: own.column(name) for name in own.column_names}
    ordered = [columns[field.name].cast(field.type) for field in schema]
    return pa.table(ordered, schema=schema)
