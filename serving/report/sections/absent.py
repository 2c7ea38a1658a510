"""What a section says where a file that it needs is not there."""

from ranklight.serving.report.evidence import Evidence
from ranklight.serving.report.markup import Html, joined, missing


def no_scores(evidence: Evidence) -> Html:
    """No scores of queries."""
    file = evidence.run.scores_file(evidence.stage)
    command = f"ranklight test -c {evidence.run.path}/config.yaml --ckpt_path best"
    return missing(f"There are no scores of queries, {file}.", command)


def no_vectors(evidence: Evidence, command: str = "--embeddings vectors.parquet") -> Html:
    """No vectors of images."""
    embed = f"ranklight embed {evidence.run.path} IMAGES --output vectors.parquet"
    report = f"ranklight report {evidence.run.path} --output DIR {command}"
    return missing(
        "This needs the vectors of the images, and no file of vectors was given.",
        f"{embed} && {report}",
    )


def no_classes() -> Html:
    """Vectors without classes."""
    return joined(
        [
            missing(
                "This needs the class of each image: the vectors have no column label with one "
                "name or number an image.",
                "ranklight embed RUN TABLE.csv --output vectors.parquet",
            )
        ]
    )
