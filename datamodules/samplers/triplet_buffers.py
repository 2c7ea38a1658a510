"""Triplets by relevance from a stream that does not fit in memory."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray

from ranklight.datamodules.randomness import uniform
from ranklight.datamodules.samplers.arguments import check_seed
from ranklight.datamodules.samplers.pair_relevance import OfPairs
from ranklight.kernels.checks import check_counts, check_finite

_KEYS, _DRAWS = 1, 2
_ATTEMPTS = 200


class TripletRule(NamedTuple):
    """How triplets are drawn; the paper's names in brackets.

    Args:
        out_of_class: Share of triplets whose negative is of another class.
        margin: [T_r] A negative of the query's class is less relevant than the positive by at
            least so much.
        cap: [T_p] Relevance above it counts as it.
        failure_limit: Candidates for a positive, and for a negative, before a query is given up.
        weighted: By relevance; False draws query, positive and in-class negative uniformly.
        corrected: Divide by each image's exact chance to be in its buffer; False is the paper's
            rule, which takes the chance as proportional to r.
    """

    out_of_class: float = 0.2
    margin: float = 0.1
    cap: float = 1.0
    failure_limit: int = 100
    weighted: bool = True
    corrected: bool = True


class TripletBuffers:
    """One fixed-size buffer a class, kept as a weighted reservoir, and triplets drawn from them.

    An image of total relevance r_i = Σ_j r_ij (over its class) has the key u^{1/r_i}, u uniform; of
    each class the `size` largest keys are kept (Efraimidis, Spirakis, 2006): a weighted sample
    without return of all that came by, in one pass and O(classes × size) memory. An image with
    r_i = 0 is in no triplet. Then, as in Wang et al., CVPR 2014, arXiv 1404.4661:

        class c ∝ Σ r_i of all that came by;  query i from its buffer;
        positive j uniform from the buffer, accepted with probability min(1, r_ij / r_j), or tried
        again; a negative of the same class likewise, if r_i+ − r_i− ≥ T_r; with the share
        `out_of_class` one of another class, uniform over all other buffers.

    The target is P(i) ∝ r_i, P(j | i) ∝ min(T_p, r_ij). The paper's rule, a uniform query and
    1 / r_j, reaches it as far as the buffer is a sample with chances ∝ r, hence while it is small
    beside its class; **where the buffer holds the whole class, its queries are uniform and its
    positives ∝ r_ij / r_j**. The `corrected` rule is right in both cases: −log(key) are
    exponential clocks of rates r_j, so with τ the clock of the first image left out, j is in the
    buffer with chance π_j = 1 − e^{−r_j τ} (1 if none is left out), and r_i / π_i for the query and
    min(T_p, r_ij) / π_j for candidates undo it; while r_j τ is small π_j is r_j τ, the paper's.
    A constant that cancels makes the largest acceptance 1, where the paper's is about one in the
    size of the class.

    Args:
        classes: How many.
        size: Images in a buffer.
        of_pairs: Relevance of pairs of images of one class.
        rule: How to draw.
        seed: Another seed is other keys and other draws.

    Attributes:
        counts: "proposed" and "accepted" candidates, "queries" drawn and "given_up".

    Examples:
        >>> rule = TripletRule(out_of_class=1.0)
        >>> buffers = TripletBuffers(2, 10, lambda i, j: np.ones(len(i)), rule)
        >>> buffers.add(np.arange(4), np.array([0, 0, 1, 1]), np.ones(4))
        >>> triplet = buffers.draw(1)[0]
        >>> (triplet // 2 == triplet[0] // 2).tolist()
        [True, True, False]
    """

    def __init__(
        self,
        classes: int,
        size: int,
        of_pairs: OfPairs,
        rule: TripletRule | None = None,
        seed: int = 0,
    ) -> None:
        check_counts(classes=classes, size=size)
        check_seed(seed)
        self.size = size
        self.of_pairs = of_pairs
        self.rule = rule or TripletRule()
        self.seed = seed
        self.counts = dict.fromkeys(("proposed", "accepted", "queries", "given_up"), 0)
        _check(self.rule, classes, size)
        self._clock = np.full((classes, size), np.inf)
        self._image = np.full((classes, size), -1)
        self._relevance = np.zeros((classes, size))
        self._arrival = np.zeros((classes, size), np.int64)
        self._left_out = np.full(classes, np.inf)
        self._seen = np.zeros(classes)
        self._arrived = 0

    @property
    def age(self) -> float:
        """How many images came by since those in the buffers did, on average."""
        filled = self._image >= 0
        return float(self._arrived - self._arrival[filled].mean()) if filled.any() else 0.0

    def add(
        self,
        images: Int[np.ndarray, "p"],
        classes: Int[np.ndarray, "p"],
        relevance: Float[np.ndarray, "p"],
        *words: int,
    ) -> None:
        """Let some images of the stream come by.

        Args:
            images: Their numbers.
            classes: Their classes.
            relevance: Their total relevance.
            words: Say which pass over the stream it is; another pass is other keys.
        """
        arrival = self._arrived + np.arange(len(images))
        self._arrived += len(images)
        relevant = relevance > 0
        if not relevant.any():
            return
        images, classes, arrival = images[relevant], classes[relevant], arrival[relevant]
        relevance = relevance[relevant].astype(np.float64)
        rate = relevance if self.rule.weighted else np.ones(len(images))
        np.add.at(self._seen, classes, rate)
        # The largest keys u^{1/rate} are the smallest −log(key), exponential clocks of these rates.
        clock = -np.log1p(-uniform(self.seed, _KEYS, *words, images)) / rate
        buffers = [self._clock, self._image, self._relevance, self._arrival]
        touched, merged = _merged(buffers, [clock, images, relevance, arrival], classes)
        earliest = np.argsort(merged[0], axis=1, kind="stable")
        for buffer, wide in zip(buffers, merged, strict=True):
            buffer[touched] = np.take_along_axis(wide, earliest[:, : self.size], 1)
        # τ only ever falls: what is left out now may be later than what was left out before.
        left_out = np.take_along_axis(merged[0], earliest[:, self.size, None], 1)[:, 0]
        self._left_out[touched] = np.minimum(self._left_out[touched], left_out)

    def draw(self, count: int, *words: int) -> Int[np.ndarray, "count 3"]:
        """Some triplets (query, positive, negative), each a pure function of buffers and words.

        Raises:
            ValueError: After many attempts there are still not enough.
        """
        triplets = np.full((count, 3), -1)
        missing = np.arange(count)
        width = 4 * self.rule.failure_limit + 3
        for attempt in range(_ATTEMPTS):
            each = missing[:, None]
            random = uniform(self.seed, _DRAWS, *words, attempt, each, np.arange(width))
            attempted, complete = self._attempt(random)
            triplets[missing[complete]] = attempted[complete]
            missing = missing[~complete]
            if not len(missing):
                return triplets
        raise ValueError(
            f"{len(missing)} of {count} triplets were not found in {_ATTEMPTS} queries each with "
            f"{self.rule.failure_limit} candidates: relevance is 0 for nearly every candidate, or "
            f"the margin of {self.rule.margin} between positive and negative is too large"
        )

    def _attempt(
        self, random: Float[np.ndarray, "t w"]
    ) -> tuple[Int[np.ndarray, "t 3"], Bool[np.ndarray, "t"]]:
        """A triplet for each row of random numbers, and whether it is complete.

        A row is laid out as: class, query, candidates for the positive, for the negative, outside.
        """
        of_class, of_query, *candidates, outside = np.split(
            random, np.cumsum([1, 1, *[2 * self.rule.failure_limit] * 2]), axis=1
        )
        queries = self._queries(of_class[:, 0], of_query[:, 0])
        positive, accepted = self._first_accepted(candidates[0], queries)
        best = self._relevance_to_query(queries, positive[:, None])
        inside = outside[:, 0] >= self.rule.out_of_class
        negative, also_accepted = self._first_accepted(
            candidates[1], queries, best, accepted & inside
        )
        complete = accepted & (also_accepted | ~inside)
        self.counts["queries"] += len(random)
        self.counts["given_up"] += int((~complete).sum())
        columns = [
            queries.at(queries.slot),
            queries.at(positive),
            np.where(
                inside,
                queries.at(negative),
                self._of_other_classes(candidates[1][:, 0], queries.classes),
            ),
        ]
        return np.stack(columns, 1), complete

    def _queries(self, of_class: NDArray[np.float64], of_query: NDArray[np.float64]) -> "_Queries":
        filled = self._filled()
        usable = np.where(filled >= 2, self._seen, 0.0)
        if self.rule.out_of_class:
            usable = np.where(filled.sum() > filled, usable, 0.0)
        if not usable.any():
            raise ValueError(
                "no triplet can be drawn: relevance is 0 for every candidate, or no class has two "
                "images in its buffer yet"
            )
        classes = np.searchsorted(np.cumsum(usable), of_class * usable.sum(), side="right")
        chance = self._chance(classes)
        weight = np.where(self._image[classes] >= 0, 1.0, 0.0)
        if self.rule.weighted and self.rule.corrected:
            weight *= self._relevance[classes] / chance
        total = np.cumsum(weight, 1)
        slot = (total <= of_query[:, None] * total[:, -1:]).sum(1)
        # Rounding can put a number close to 1 behind the last image.
        slot = np.minimum(slot, filled[classes] - 1)
        return _Queries(classes, slot, self._image[classes], chance)

    def _filled(self) -> NDArray[np.int64]:
        """How many images each buffer holds; they are in its first slots."""
        filled: NDArray[np.int64] = (self._image >= 0).sum(1)
        return filled

    def _chance(self, classes: NDArray[np.int64]) -> Float[np.ndarray, "t size"]:
        """π, or r itself in the paper's rule; 1 in empty slots."""
        relevance = self._relevance[classes]
        if not self.rule.weighted:
            return np.ones_like(relevance)
        if self.rule.corrected:
            # An empty slot has relevance 0, and τ may be infinite: 0 · ∞ would be no number.
            relevance = np.where(relevance > 0, relevance, np.inf)
            chance: NDArray[np.float64] = -np.expm1(-relevance * self._left_out[classes, None])
            return chance
        return np.where(relevance > 0, relevance, 1.0)

    def _first_accepted(
        self,
        random: NDArray[np.float64],
        queries: "_Queries",
        best: NDArray[np.float64] | None = None,
        counted: NDArray[np.bool_] | None = None,
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The first accepted of uniform candidates from the query's buffer, and whether there is.

        Args:
            random: Two numbers a candidate: all slots, then all acceptances.
            queries: The queries.
            best: Given for negatives: candidates must be less relevant than it by the margin.
            counted: Which queries enter the statistics; all by default.
        """
        of_slot, of_acceptance = np.split(random, 2, axis=1)
        slots = (of_slot * self._filled()[queries.classes, None]).astype(np.int64)
        relevance = self._relevance_to_query(queries, slots)
        weight = self._weight(relevance, queries.chance, positive=best is None)
        accepted = of_acceptance * np.take_along_axis(queries.chance, slots, 1) < weight
        accepted &= slots != queries.slot[:, None]
        if best is not None:
            accepted &= best - relevance >= self.rule.margin
        first = accepted.argmax(1)[:, None]
        is_any: NDArray[np.bool_] = np.take_along_axis(accepted, first, 1)[:, 0]
        proposed = np.where(is_any, first[:, 0] + 1, self.rule.failure_limit)
        counted = np.ones(len(random), dtype=bool) if counted is None else counted
        self.counts["proposed"] += int(proposed[counted].sum())
        self.counts["accepted"] += int((is_any & counted).sum())
        return np.take_along_axis(slots, first, 1)[:, 0], is_any

    def _weight(
        self, relevance: NDArray[np.float64], chance: NDArray[np.float64], positive: bool
    ) -> NDArray[np.float64]:
        """What a candidate's chance times a uniform number must stay below to be accepted."""
        if not self.rule.weighted:
            return np.where((relevance > 0) | (not positive), 1.0, 0.0)
        weight = np.minimum(relevance, self.rule.cap)
        if self.rule.corrected:
            # A constant for the whole query: the likeliest candidate is then always accepted.
            weight *= chance.min(1, keepdims=True) / self.rule.cap
        return weight

    def _relevance_to_query(
        self, queries: "_Queries", slots: Int[np.ndarray, "t k"]
    ) -> Float[np.ndarray, "t k"]:
        others = np.take_along_axis(queries.buffers, slots, 1)
        images = np.repeat(queries.at(queries.slot), slots.shape[1])
        return self.of_pairs(images, others.ravel()).reshape(slots.shape)

    def _of_other_classes(
        self, random: NDArray[np.float64], classes: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """An image of another buffer for each class, every image of these equally likely."""
        filled = self._filled()
        ends = np.cumsum(filled)
        starts = ends - filled
        # Positions in all buffers one after the other, with the own one cut out.
        position = (random * (ends[-1] - filled[classes])).astype(np.int64)
        position += np.where(position >= starts[classes], filled[classes], 0)
        other = np.minimum(np.searchsorted(ends, position, side="right"), len(filled) - 1)
        slot = np.minimum(position - starts[other], self.size - 1)
        images: NDArray[np.int64] = self._image[other, slot]
        return images


class _Queries(NamedTuple):
    """Drawn queries, one a row.

    Args:
        classes: Their classes.
        slot: Where each is in the buffer of its class.
        buffers: The images in that buffer.
        chance: π of each of these images, see `TripletBuffers`.
    """

    classes: Int[np.ndarray, "t"]
    slot: Int[np.ndarray, "t"]
    buffers: Int[np.ndarray, "t size"]
    chance: Float[np.ndarray, "t size"]

    def at(self, slot: NDArray[np.int64]) -> NDArray[np.int64]:
        """The image in a slot of each row's buffer."""
        images: NDArray[np.int64] = self.buffers[np.arange(len(slot)), slot]
        return images


def _merged(
    buffers: list[NDArray[Any]], new: list[NDArray[Any]], classes: NDArray[np.int64]
) -> tuple[NDArray[np.int64], list[NDArray[Any]]]:
    """The classes that are added to, and their rows with what is new behind; clocks first."""
    touched, row = np.unique(classes, return_inverse=True)
    order = np.argsort(row, kind="stable")
    counts = np.bincount(row)
    rank = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    column = buffers[0].shape[1] + rank
    merged = []
    for buffer, values, empty in zip(buffers, new, (np.inf, -1, 0, 0), strict=True):
        added = ((0, 0), (0, int(counts.max())))
        wide = np.pad(buffer[touched], added, constant_values=empty)
        wide[row[order], column] = values[order]
        merged.append(wide)
    return touched, merged


def _check(rule: TripletRule, classes: int, size: int) -> None:
    check_finite(margin=rule.margin)
    if size < 2 or rule.failure_limit < 1 or rule.cap <= 0:
        raise ValueError(
            "a buffer needs at least 2 images, failure_limit at least 1 and cap more than 0; got "
            f"{size}, {rule.failure_limit} and {rule.cap}"
        )
    if not 0 <= rule.out_of_class <= 1 or (rule.out_of_class > 0 and classes < 2):
        raise ValueError(
            "out_of_class is a share, 0..1, and needs a second class; got "
            f"{rule.out_of_class} with {classes} classes"
        )
