"""A gallery as a table of pictures, which Weights & Biases sorts and filters."""

from collections.abc import Sequence

from pytorch_lightning.loggers import Logger, WandbLogger
from torchvision.transforms.v2.functional import to_pil_image

from ranklight.callbacks.pictures.captions import Captions
from ranklight.callbacks.pictures.neighbour_sheet import Found


def log_gallery(
    loggers: Sequence[Logger], name: str, found: Found, queries: Captions, gallery: Captions
) -> None:
    """Log a row a query: its picture and names, how many neighbours are relevant, and these.

    Args:
        loggers: Of the trainer; those of W&B get `<name>/found`.
        name: Of the gallery.
        found: What is shown.
        queries: Pictures and names of queries.
        gallery: Those of what was searched.
    """
    ours = [logger for logger in loggers if isinstance(logger, WandbLogger)]
    if not ours:
        return
    import wandb

    def shown(captions: Captions, row: int) -> wandb.Image | None:
        if row < 0:
            return None
        return wandb.Image(
            to_pil_image(captions.picture(row)), caption=" ".join(captions.names(row))
        )

    columns = ["query", "names", "relevant", *(f"{n + 1}" for n in range(found.lists.shape[1]))]
    rows = []
    lists = (part.tolist() for part in (found.queries, found.lists, found.relevance))
    for query, neighbours, relevance in zip(*lists, strict=True):
        there = [value for row, value in zip(neighbours, relevance, strict=True) if row >= 0]
        about = [" ".join(queries.names(query)), sum(value > 0 for value in there)]
        pictures = [shown(gallery, row) for row in neighbours]
        rows.append([shown(queries, query), *about, *pictures])
    for logger in ours:
        logger.log_table(f"{name}/found", columns=columns, data=rows)
