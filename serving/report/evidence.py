"""All that a report is made from, and what is found in it, each thing once."""

import os
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from ranklight.datamodules.reading.pictures import Box
from ranklight.serving.boxes import Shown
from ranklight.serving.report.changed_queries import ChangedQueries, changed_queries
from ranklight.serving.report.confused_classes import Confusion, confused_classes
from ranklight.serving.report.near_duplicates import NearDuplicate, near_pairs_across, with_hashes
from ranklight.serving.report.nearest_images import Nearest, nearest_images
from ranklight.serving.report.query_scores import QueryScores
from ranklight.serving.report.run_files import RunFiles
from ranklight.serving.report.suspected_labels import Suspect, suspected_labels
from ranklight.serving.report.vectors import Vectors

_BESIDE_A_QUERY = 5
_MOST_HASHED = 2000


class Limits(NamedTuple):
    """Where a report draws its lines.

    Attributes:
        shown: How many of each kind are shown with pictures.
        neighbours: How many neighbours are asked for an image's label.
        agreement: Share of them that must agree on another class.
        cosine: From which cosine on images of two splits may be copies.
    """

    shown: int = 12
    neighbours: int = 10
    agreement: float = 0.8
    cosine: float = 0.95

    def check(self) -> None:
        """Raise a ValueError for a number that draws no line."""
        for name, least in (("shown", 1), ("neighbours", 2)):
            if getattr(self, name) < least:
                raise ValueError(f"--{name} is {least} or more, not {getattr(self, name)}")
        if not 0.5 < self.agreement <= 1:
            raise ValueError(
                f"--agreement is a share above 0.5 and at most 1, not {self.agreement:g}"
            )
        if not -1 <= self.cosine <= 1:
            raise ValueError(f"--cosine is between -1 and 1, not {self.cosine:g}")


class Evidence:
    """What is known of a run, and of the one before it.

    Args:
        run: The run that the report is about.
        before: The run that it is compared with; None for none.
        stage: Of which evaluation the scores are: `test`, `val`, `test-<loader>`; by default the
            first there is.
        score: The column of scores by which queries are compared.
        vectors: Of the run's images; None where there are none.
        images: The folder that file names are relative to, beside the current one.
        limits: Where lines are drawn.
    """

    def __init__(
        self,
        run: RunFiles,
        before: RunFiles | None = None,
        stage: str | None = None,
        score: str | None = None,
        vectors: Vectors | None = None,
        images: Path | None = None,
        limits: Limits = Limits(),  # noqa: B008
    ) -> None:
        self.run, self.before, self.vectors, self.images = run, before, vectors, images
        self.limits = limits
        self.stage = _stage(run, stage)
        self.scores = self._scores(run, score)
        if score is not None and self.scores is None:
            raise ValueError(
                f"--score {score} needs scores of queries, and there is no "
                f"{run.scores_file(self.stage)}: `ranklight test` writes it"
            )
        chosen = score or (self.scores.score if self.scores else None)
        self.scores_before = self._scores(before, chosen) if before else None
        if vectors is not None:
            vectors.take_splits(self._scored_files(), [self.key(file) for file in vectors.files])

    @property
    def split(self) -> str:
        """The split that the stage scored."""
        return self.stage.split("-")[0]

    def locate(self, name: str) -> Path | None:
        """The file of this name, from here or from the folder of images; None where it is not."""
        for folder in (Path(), self.images):
            if folder is not None and (file := folder / name).is_file():
                return file
        return None

    def key(self, name: str) -> str:
        """What two names of one file have in common."""
        return os.path.abspath(self.locate(name) or name)

    def image(self, file: str, box: Box | None) -> Shown:
        """What two names of one image have in common."""
        return self.key(file), box

    @cached_property
    def scored_rows(self) -> Int[np.ndarray, "rows"]:
        """The images, among the vectors, of the split that was scored."""
        assert self.vectors is not None
        return self.vectors.rows_of(self.split)

    @cached_property
    def nearest(self) -> Nearest:
        """The neighbours of each image of the scored split, by its place in `scored_rows`."""
        assert self.vectors is not None
        k = min(_BESIDE_A_QUERY, len(self.scored_rows) - 1)
        matrix = self.vectors.matrix[self.scored_rows]
        return nearest_images(matrix, None, k, f"neighbours in {self.split}")

    @cached_property
    def places(self) -> dict[Shown, int]:
        """The place in `scored_rows` of each image, by its file's key and its box."""
        assert self.vectors is not None
        files, boxes = self.vectors.files, self.vectors.boxes
        images = (self.image(files[row], boxes[row]) for row in self.scored_rows)
        return {image: place for place, image in enumerate(images)}

    @cached_property
    def changes(self) -> ChangedQueries | None:
        """Queries that the run has fixed and broken."""
        if self.scores is None or self.scores_before is None:
            return None
        return changed_queries(self.scores_before, self.scores)

    @cached_property
    def confusions(self) -> list[Confusion] | None:
        """Classes taken for others; rows are places in `scored_rows`."""
        if self.vectors is None or self.vectors.classes is None or len(self.scored_rows) < 2:
            return None
        return confused_classes(
            [self.vectors.classes[row] for row in self.scored_rows], self.nearest
        )

    @cached_property
    def suspects(self) -> list[Suspect] | None:
        """Labels that may be wrong, among all vectors."""
        if self.vectors is None or self.vectors.classes is None or len(self.vectors) < 2:
            return None
        k = min(self.limits.neighbours, len(self.vectors) - 1)
        nearest = nearest_images(self.vectors.matrix, None, k, "neighbours of all images")
        return suspected_labels(self.vectors.classes, nearest, self.limits.agreement)

    @cached_property
    def copies(self) -> list[NearDuplicate] | None:
        """Pairs of images of two splits that may be copies; at most the 2,000 nearest."""
        if self.vectors is None or self.vectors.splits is None:
            return None
        pairs = near_pairs_across(self.vectors.matrix, self.vectors.splits, self.limits.cosine)
        files, boxes = self.vectors.files, self.vectors.boxes
        return with_hashes(pairs[:_MOST_HASHED], lambda row: (self.locate(files[row]), boxes[row]))

    def _scores(self, run: RunFiles, score: str | None) -> QueryScores | None:
        file = run.scores_file(self.stage)
        return QueryScores(file, score) if file.exists() else None

    def _scored_files(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for stage in self.run.stages_scored():
            files = QueryScores(self.run.scores_file(stage)).files or []
            found.setdefault(stage.split("-")[0], set()).update(map(self.key, files))
        return found


def _stage(run: RunFiles, stage: str | None) -> str:
    there = run.stages_scored()
    if stage is not None and stage not in there:
        raise ValueError(
            f"the run {run.path} has no scores of {stage}; it has {', '.join(there) or 'none'}"
        )
    return stage or next(iter(there), "test")
