"""A run as one page: what it scored, what it gets wrong, and what is wrong with its data."""

import csv
from collections.abc import Sequence
from pathlib import Path

from ranklight.files.writing import replacing
from ranklight.serving.index_directory import read_facts
from ranklight.serving.report.evidence import Evidence, Limits
from ranklight.serving.report.fiftyone_files import write_fiftyone
from ranklight.serving.report.page import MARK, Rows, Section, page
from ranklight.serving.report.run_files import RunFiles
from ranklight.serving.report.sections.changes import changes
from ranklight.serving.report.sections.confused import confused
from ranklight.serving.report.sections.copies import copies
from ranklight.serving.report.sections.curves import curves
from ranklight.serving.report.sections.indices import indices
from ranklight.serving.report.sections.provenance import provenance
from ranklight.serving.report.sections.summary import summary
from ranklight.serving.report.sections.suspected import suspected
from ranklight.serving.report.sections.worst_queries import worst_queries
from ranklight.serving.report.vectors import Vectors

PAGE = "index.html"


def write_report(
    runs: Sequence[Path],
    output: Path,
    embeddings: Sequence[Path] = (),
    index_directories: Sequence[Path] = (),
    images: Path | None = None,
    stage: str | None = None,
    score: str | None = None,
    limits: Limits = Limits(),  # noqa: B008
    fiftyone: bool = False,
) -> Path:
    """Write `index.html`, and beside it a CSV file of each list that the page shows in part.

    Everything comes from files: nothing is trained, evaluated or embedded.

    Args:
        runs: A run; or one and the one to report on, which is compared with it query by query.
        output: Where to write.
        embeddings: Files of `ranklight embed`, of the run that is reported on.
        index_directories: Directories of `ranklight index`.
        images: The folder that file names are relative to, beside the current one.
        stage: Of which evaluation the scores of queries are: `test`, `val`, `test-<loader>`; by
            default test, else val.
        score: The column of scores by which queries are compared.
        limits: How much is shown, and where lines are drawn.
        fiftyone: Whether to write `fiftyone/` as well, a data set that FiftyOne opens.

    Returns:
        The page.

    Raises:
        FileNotFoundError: A run, a file of vectors or an index is not there.
        FileExistsError: There is a page that is no report.
        ValueError: A file is not what it should be, or a limit is none.
    """
    limits.check()
    _check_place(output / PAGE)
    if images is not None and not images.is_dir():
        raise FileNotFoundError(f"--images must be a folder; there is no {images}")
    if len(runs) > 1 and runs[0].resolve() == runs[-1].resolve():
        raise ValueError(f"a run is compared with another one; {runs[0]} is given twice")
    for directory in index_directories:
        read_facts(directory)
    run, before = RunFiles(runs[-1]), RunFiles(runs[0]) if len(runs) > 1 else None
    vectors = Vectors(embeddings) if embeddings else None
    evidence = Evidence(run, before, stage, score, vectors, images, limits)
    sections = [
        summary(evidence),
        *([changes(evidence)] if before is not None else []),
        curves(evidence),
        worst_queries(evidence),
        confused(evidence),
        suspected(evidence),
        copies(evidence),
        indices(evidence, index_directories),
        provenance(evidence),
    ]
    title = run.name if before is None else f"{run.name}, after {before.name}"
    for name, (header, rows) in _lists(sections).items():
        _write_list(output / name, header, rows)
    if fiftyone:
        write_fiftyone(evidence, output / "fiftyone")
    with replacing(output / PAGE) as fresh:
        fresh.write_text(page(f"Report on {title}", sections), encoding="utf-8")
    return output / PAGE


def _check_place(page: Path) -> None:
    """Refuse to write over a page that is no report, such as one's own index.html.

    Raises:
        FileExistsError: There is one.
    """
    if page.parent.exists() and not page.parent.is_dir():
        raise FileExistsError(f"{page.parent} is a file: give --output a folder")
    if page.exists() and MARK not in page.read_text(encoding="utf-8", errors="replace"):
        raise FileExistsError(f"{page} is no report and is not replaced: give another --output")


def _lists(sections: Sequence[Section]) -> dict[str, tuple[Sequence[str], Rows]]:
    return {name: of for section in sections for name, of in section.lists.items()}


def _write_list(file: Path, header: Sequence[str], rows: Rows) -> None:
    with replacing(file) as fresh, fresh.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened)
        writer.writerow(header)
        writer.writerows(rows)
