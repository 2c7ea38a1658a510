"""How well the model's neighbours are what was looked for, after every validation and test."""

import time
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_info, rank_zero_warn
from torch import Tensor, nn

from ranklight.callbacks.evaluation.after_encoder import AfterEncoder, Variant, show_variants
from ranklight.callbacks.evaluation.embedding_evaluation import EmbeddingEvaluation, Sides, Stage
from ranklight.callbacks.evaluation.known_of_images import check_known
from ranklight.callbacks.evaluation.prefixes import Prefixes
from ranklight.callbacks.evaluation.progress import stage_progress
from ranklight.callbacks.evaluation.scores_file import save_class_scores, values_of
from ranklight.callbacks.evaluation.views import View
from ranklight.datamodules import Batch
from ranklight.kernels.checks import check_choice, check_counts
from ranklight.metrics import (
    ClassAnswers,
    GradedAnswers,
    ListedAnswers,
    Scoring,
    average_by_class,
    average_retrieval,
    evaluate_clustering,
    score_retrieval,
)
from ranklight.metrics.answers import Apart, Judge
from ranklight.search import ApproximateSearch, Embedded, ExactSearch, index_recall
from ranklight.search.after import Step
from ranklight.search.neighbours import AnySearch, Prepare

Index = Literal["exact", "IVFFlat", "IVFPQ", "HNSW"]


class RetrievalEvaluation(EmbeddingEvaluation):
    """Every image of validation and test as a query among the others, or queries in a gallery.

    One loader: every image is a query among the others. A list of two, **[queries, gallery]**, as
    data with roles have: the first are looked for among the second; a query that is part of the
    gallery is left out for itself, by its index. A mapping of loaders: each in itself, logged as
    `val/<name>/...`.

    Logs `val/recall@K` (the hit rate, in re-identification CMC at rank K), `val/r_precision`,
    `val/map@r`, `val/queries` (how many count: those that the gallery holds something relevant for)
    and what else is asked for: `precision@K`, `map@K`, `ndcg@K`, and of the whole ranking `map`,
    `map/trapezoid`, `mrr` and `minp`; `test/...` likewise. Definitions: `metrics.ranked`. From
    k-means of one loader with as many clusters as classes come `val/nmi`, `val/ami` and
    `val/inertia`. The same numbers are logged on every rank, so a checkpoint may monitor them.
    Exactness, ties and memory: `search.ExactSearch`.

    Right is what is of the query's class, or what `relevance` says; data whose `relevant_pairs`
    (landmarks) are not empty list what is right and what is junk, under one name or several:
    `test/easy/map`.

    The module's validation and test steps return a mapping or named tuple with `embeddings`;
    batches have `labels` and `index`, by which rows are sorted and rows that a sampler repeated are
    dropped. Sanity validation evaluates nothing.

    Prefixes of embeddings that `pairs.Matryoshka` trains, or those asked for, are scored as
    embeddings of their own, `val/d64/recall@1`; each costs one more search.

    Steps `after` the encoder (`search.after`) and other `views` of the pictures are scored beside
    the plain search, each alone, as `test/<name>/recall@1`, in a test and in a validation on its
    own, not in training; a table shows them with the seconds each took. Steps one after the other
    are a `search.after.Chain`. Choose them and their parameters on validation: what is chosen on
    test tells nothing of other images.

    On several ranks each searches the images that it embedded, and no embedding but that of a
    query in search leaves its rank; the numbers are those of one process, to the bit. K-means runs
    on rank 0, to which all embeddings are sent for it.

    Args:
        ks: Every K of Recall@K.
        precision_ks: Every K of `precision@K`.
        map_ks: Every K of `map@K`.
        ndcg_ks: Every K of `ndcg@K`.
        whole_ranking: Whether to score the ranking of the whole gallery.
        apart: What a query is never compared with beside itself: `image`, nothing more; `group`,
            images of its group (`group` of a table: session, product page, ...);
            `class_and_group`, those of its group that are of its class, as re-identification leaves
            out the same person in the same camera. They are neither right nor wrong.
        relevance: From two sets of labels to how relevant the second are, above 0 is right: for
            multi-hot labels `pairs.LabelOverlap`. Default: the same class.
        levels: Further classes of the data's images to score Recall@K and the like by, for example
            `[super_class]`: `val/super_class/recall@1`.
        macro: Whether to log the means over classes, too: `val/recall@1/macro`.
        clustering: Whether to cluster.
        cluster_every_n_epochs: In training, cluster at every so many epochs only; tests and
            validation on its own always do.
        restarts: Starts of k-means; more is slower and steadier.
        seed: Of the starts.
        index: How to search: `exact`, or by an approximate index, for millions of images. Then
            `val/index_recall@K`, for the largest K, tells how much of the exact lists it finds, on
            1,000 images. Kinds: `search.ApproximateSearch`.
        effort: Of an approximate index; more finds more and takes longer.
        cluster_at_most: Do not cluster more images than these, and warn. Rank 0 needs 8 bytes for
            each dimension of each image: 4 GiB for a million of 512.
        prefixes: Sizes of prefixes to score beside the whole: the first so many numbers of every
            embedding, put on the unit sphere again, but where `pairs.Matryoshka(normalize=False)`
            trains them. None: the sizes that it trains.
        after: Steps after the encoder, for example whitening, query expansion or re-ranking. Those
            that learn are fitted on all training images, as evaluation sees them.
        views: Ways of viewing a picture whose embeddings are averaged with its own.
        scores: Whether to keep the scores of every query: `scores/<stage>.parquet` of the run, with
            a mapping of loaders `scores/<stage>-<name>.parquet`; and their means over classes and
            groups, `scores/<stage>-classes.parquet` and `-groups`. Each pass replaces the files.
    """

    def __init__(
        self,
        ks: Sequence[int] = (1, 2, 4, 8),
        precision_ks: Sequence[int] = (),
        map_ks: Sequence[int] = (),
        ndcg_ks: Sequence[int] = (),
        whole_ranking: bool = False,
        apart: Apart = "image",
        relevance: nn.Module | None = None,
        levels: Sequence[str] = (),
        macro: bool = False,
        clustering: bool = True,
        cluster_every_n_epochs: int = 1,
        restarts: int = 1,
        seed: int = 0,
        index: Index = "exact",
        effort: int = 32,
        cluster_at_most: int = 1_000_000,
        prefixes: Sequence[int] | None = None,
        after: Sequence[Step] = (),
        views: Sequence[View] = (),
        scores: bool = True,
    ) -> None:
        super().__init__(scores)
        check_counts(
            cluster_every_n_epochs=cluster_every_n_epochs,
            restarts=restarts,
            effort=effort,
            cluster_at_most=cluster_at_most,
        )
        check_choice(Apart, apart=apart)
        check_choice(Index, index=index)
        if relevance is not None and apart == "class_and_group":
            raise ValueError(
                "apart=class_and_group is for labels that are classes; with a relevance give "
                "apart=group"
            )
        if relevance is not None and macro:
            raise ValueError("macro is for labels that are classes, not for a relevance of labels")
        self.ks = tuple(ks)
        self.scoring = Scoring(
            precision=tuple(precision_ks),
            average_precision=tuple(map_ks),
            ndcg=tuple(ndcg_ks),
            whole_ranking=whole_ranking,
        )
        self.scoring.longest(self.ks)
        self.apart = apart
        self.relevance = relevance
        self.levels = tuple(levels)
        self.macro = macro
        self.clustering = clustering and relevance is None
        self.cluster_every_n_epochs = cluster_every_n_epochs
        self.restarts = restarts
        self.seed = seed
        self.index = index
        self.effort = effort
        self.cluster_at_most = cluster_at_most
        self.prefixes = Prefixes(prefixes)
        self.after_encoder = AfterEncoder(after, views)
        self._told: set[str] = set()

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse steps after the encoder, prefixes, groups and levels that cannot be."""
        self.prefixes.ask(pl_module)
        check_known(trainer, self.apart, self.levels)
        if stage != "predict":
            self.after_encoder.check(trainer, pl_module)

    def logs(self) -> set[str]:
        """Names of the scores that every validation logs, without the stage before them."""
        own, of_levels = set(self.scoring.names(self.ks)), self._of_levels().names(self.ks)
        names = {*own, "queries", *(f"{level}/{of}" for level in self.levels for of in of_levels)}
        if self.macro:
            names |= {f"{name}/macro" for name in own}
        names |= self.prefixes.named(names)
        if self.clustering:
            names |= {"nmi", "ami", "inertia"}
        return names if self.index == "exact" else {*names, f"index_recall@{max(self.ks)}"}

    def check(self, batch: Batch, trainer: Trainer) -> None:
        """Labels are class numbers, where nothing else says what is right.

        Raises:
            ValueError: They are not.
        """
        classes = batch.labels.ndim == 1 and not batch.labels.is_floating_point()
        stage: Stage = "test" if trainer.testing else "val"
        # lists take time to make, and this is asked of every batch
        if classes or self.relevance is not None or _listed(trainer, stage):
            return
        raise ValueError(
            "RetrievalEvaluation needs one class number an image, or a relevance of labels; "
            f"not labels of shape {tuple(batch.labels.shape)} and type {batch.labels.dtype}"
        )

    def evaluate(self, trainer: Trainer, pl_module: LightningModule, stage: Stage) -> None:
        """Search, cluster and log."""
        due = (trainer.current_epoch + 1) % self.cluster_every_n_epochs == 0
        shown = {f"recall@{min(self.ks)}", "map@r"}
        alone = trainer.state.fn != "fit"
        seen = self.after_encoder.seen(trainer, stage, pl_module.device) if alone else []
        if alone:
            self.after_encoder.fit(trainer, pl_module, stage)
        for sides in self.sides(trainer, stage, pl_module.device):
            began = time.perf_counter()
            scores = self.score(trainer, stage, sides, self.keep_scores)
            plain = Variant("plain", dict(scores), time.perf_counter() - began)
            for prefix in self.prefixes.of(sides):
                of_prefix = self.score(trainer, stage, prefix, self.keep_scores, self._search())
                self._log_beside(pl_module, prefix.name, of_prefix)
            if due or trainer.state.fn != "fit":
                scores |= self.cluster(trainer, sides)
            self.log_scores(pl_module, sides.name, scores, shown)
            if alone:
                self._compare(trainer, pl_module, sides, plain, [next(of) for of in seen])
        self.after_encoder.forget()

    def _compare(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        sides: Sides,
        plain: Variant,
        seen: Sequence[Sides],
    ) -> None:
        """Score and log what is done after the encoder, and show it below the plain search."""
        stage: Stage = "test" if trainer.testing else "val"

        def score(of: Sides, search: AnySearch) -> dict[str, float]:
            return self.score(trainer, stage, of, self.keep_scores, search)

        variants = [*self.after_encoder.variants(sides, self._search(), score, seen)]
        for variant in variants:
            self._log_beside(pl_module, f"{sides.name}/{variant.name}", variant.scores)
        if variants and trainer.is_global_zero:
            show_variants(sides.name, [plain, *variants])

    def _log_beside(self, pl_module: LightningModule, name: str, scores: dict[str, float]) -> None:
        """Log scores of the same queries in another way."""
        logged = {key: of for key, of in scores.items() if key != "queries"}
        self.log_scores(pl_module, name, logged, set())

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget what an interrupted epoch collected."""
        super().on_validation_epoch_start(trainer, pl_module)
        self.after_encoder.forget()

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget what an interrupted epoch collected."""
        super().on_test_epoch_start(trainer, pl_module)
        self.after_encoder.forget()

    def score(
        self,
        trainer: Trainer,
        stage: Stage,
        sides: Sides,
        keep: bool,
        search: AnySearch | None = None,
    ) -> dict[str, float]:
        """Search, and average; collective.

        Args:
            trainer: Whose data and progress bar these are.
            stage: Validation or test.
            sides: What to look for, and where.
            keep: Whether to write the scores of every query.
            search: How; by default as the evaluation does without a step after the encoder.
        """
        plain, search = search is None, search or self._search()
        columns: dict[str, Tensor] = {}
        means: dict[str, float] = {}
        for prefix, (queries, gallery, scoring) in self._scorings(trainer, stage, sides).items():
            bar = stage_progress(trainer, f"{sides.name}: search", len(queries.ids), sides.among)
            with bar as advance:
                of = score_retrieval(queries, gallery, self.ks, search, advance, scoring)
            columns |= {f"{prefix}{name}": score for name, score in of.items()}
            averages = average_retrieval(queries, of)
            if plain:
                self._tell_of_the_rest(f"{sides.name}/{prefix}", averages["queries"], queries)
            means |= {f"{prefix}{name}": mean for name, mean in averages.items()}
        if plain and self.index != "exact":
            k = max(self.ks)
            means[f"index_recall@{k}"] = index_recall(sides.among, k, self._search())
        if self.macro:
            means |= average_by_class(sides.queries, columns, sides.queries.labels).macro()
        if keep:
            self.save_scores(trainer, sides, columns)
            save_class_scores(trainer, sides.name, sides.queries, columns)
        return means

    def cluster(self, trainer: Trainer, sides: Sides) -> dict[str, float]:
        """Scores of k-means, where the images of one loader are to be clustered; collective."""
        embedded = sides.queries
        if not self.clustering or sides.gallery is not None or embedded.labels.ndim != 1:
            return {}
        if embedded.shards.size > self.cluster_at_most:
            rank_zero_warn(
                f"{sides.name}: {embedded.shards.size:,} images are more than cluster_at_most="
                f"{self.cluster_at_most:,}: they are not clustered, there is no NMI"
            )
            return {}
        with stage_progress(trainer, f"{sides.name}: cluster", self.restarts, embedded) as advance:
            return evaluate_clustering(embedded, self.seed, self.restarts, advance=advance)

    def _add(self, trainer: Trainer, outputs: Any, batch: Batch, loader: int) -> None:
        super()._add(trainer, outputs, batch, loader)
        if trainer.state.fn != "fit":
            self.after_encoder.add(trainer, outputs, batch, loader)

    def _search(self) -> Prepare:
        if self.index == "exact":
            return ExactSearch
        return partial(ApproximateSearch, kind=self.index, effort=self.effort)

    def _of_levels(self) -> Scoring:
        """Classes of classes have too many images for lists of all."""
        return self.scoring._replace(at_r=False, whole_ranking=False)

    def _scorings(
        self, trainer: Trainer, stage: Stage, sides: Sides
    ) -> dict[str, tuple[Embedded, Embedded | None, Scoring]]:
        """What is looked for where, and by which answers, by what stands before the names."""
        scorings = {
            prefix: (sides.queries, sides.gallery, self.scoring._replace(answers=judge))
            for prefix, judge in self._judges(trainer, stage).items()
        }
        of_levels = self._of_levels()._replace(answers=partial(ClassAnswers, apart=self.apart))
        for level in self.levels:
            queries = _at_level(level, sides.queries, sides.datasets[0])
            gallery = sides.gallery and _at_level(level, sides.gallery, sides.datasets[1])
            scorings[f"{level}/"] = (queries, gallery, of_levels)
        return scorings

    def _judges(self, trainer: Trainer, stage: Stage) -> dict[str, Judge]:
        """What says what is right, by what stands before the names of the scores."""
        if self.relevance is not None:
            return {"": partial(GradedAnswers, relevance=self.relevance, apart=self.apart)}
        if listed := _listed(trainer, stage):
            return {
                f"{name}/".lstrip("/"): partial(ListedAnswers, relevant=of.relevant, junk=of.junk)
                for name, of in listed.items()
            }
        return {"": partial(ClassAnswers, apart=self.apart)}

    def _tell_of_the_rest(self, name: str, counted: int | float, queries: Embedded) -> None:
        """Say once how many queries are left out."""
        size = queries.shards.size
        if counted == size or name in self._told:
            return
        self._told.add(name)
        if counted == 0:
            rank_zero_warn(
                f"{name.rstrip('/')}: the gallery holds nothing relevant for any of {size} "
                "queries: every score is nan"
            )
        else:
            rank_zero_info(
                f"{name.rstrip('/')}: {size - int(counted)} of {size} queries have nothing "
                "relevant in the gallery and are not counted"
            )


def _listed(trainer: Trainer, stage: Stage) -> Any:
    """What the data lists as right; nothing where classes say it, as of held-out classes."""
    data: Any = getattr(trainer, "datamodule", None)
    return data.relevant_pairs(stage) if hasattr(data, "relevant_pairs") else {}


def _at_level(level: str, rows: Embedded, dataset: Any) -> Embedded:
    """The same rows, labelled by another class of theirs."""
    levels = getattr(dataset, "levels", {})
    labels = values_of(dataset, levels.get(level), rows.ids)
    if labels is None:
        there = ", ".join(levels) or "none"
        raise ValueError(
            f"levels names {level!r}, which the images do not have; there are: {there}"
        )
    return Embedded(rows.embeddings, labels, rows.ids, rows.shards, rows.groups)
