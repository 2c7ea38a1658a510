"""Triplets by relevance from a stream that does not fit in memory."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray

from ranklight.datamodules.randomness import uniform
from ranklight.datamodules.samplers.pair_relevance import OfPairs

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
        of_pairs: Relevance of pairs of image numbers of one class.
        rule: How to draw.
        seed: Another seed is other keys and other draws.

    Attributes:
        counts: "proposed" and "accepted" candidates, "queries" drawn and "given_up".
    """

    def __init__(
        self,
        classes: int,
        size: int,
        of_pairs: OfPairs,
        rule: TripletRule | None = None,
        seed: int = 0,
    ) -> None:
        self.size = size
        self.of_pairs = of_pairs
        self.rule = rule or TripletRule()
        self.seed = seed
        self.counts = dict.fromkeys(("proposed", "accepted", "queries", "given_up"), 0)
        self._clock = np.full((classes, size), np.inf)
        self._image = np.full((classes, size), -1)
        self._relevance = np.zeros((classes, size))
        self._arrival = np.zeros((classes, size), np.int64)
        self._left_out = np.full(classes, np.inf)
        self._seen = np.zeros(classes)
        self._arrived = 0
        _check(self.rule, classes, size)

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
        some = relevance > 0
        images, classes, relevance = images[some], classes[some], relevance[some].astype(np.float64)
        if not len(images):
            return
        rate = relevance if self.rule.weighted else np.ones(len(images))
        clock = -np.log1p(-uniform(self.seed, _KEYS, *words, images)) / rate
        np.add.at(self._seen, classes, rate)
        new = [clock, images, relevance, arrival[some]]
        kept = [self._clock, self._image, self._relevance, self._arrival]
        touched, merged = _merged(kept, new, classes)
        earliest = np.argsort(merged[0], axis=1, kind="stable")
        for rows, wide in zip(kept, merged, strict=True):
            rows[touched] = np.take_along_axis(wide, earliest[:, : self.size], 1)
        next_one = np.take_along_axis(merged[0], earliest[:, self.size, None], 1)[:, 0]
        self._left_out[touched] = np.minimum(self._left_out[touched], next_one)

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
            drawn, found = self._attempt(random)
            triplets[missing[found]] = drawn[found]
            missing = missing[~found]
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
        limit = self.rule.failure_limit
        filled = (self._image >= 0).sum(1)
        own, query = self._queries(random[:, 0], random[:, 1], filled)
        chance = self._chance(own)
        of_all = self._image[own]
        images = of_all[np.arange(len(own)), query]
        positive, good = self._candidates(random[:, 2 : 2 + 2 * limit], own, query, chance, filled)
        best = self._pair_relevance(images[:, None], of_all, positive[:, None])[:, 0]
        outside = random[:, -1] < self.rule.out_of_class
        rest = random[:, 2 + 2 * limit : -1]
        negative, also = self._candidates(rest, own, query, chance, filled, best, good & ~outside)
        other = self._of_other_classes(rest[:, 0], own, filled)
        found = good & (outside | also)
        rows = np.arange(len(own))
        chosen = np.where(outside, other, of_all[rows, negative])
        self.counts["queries"] += len(own)
        self.counts["given_up"] += int((~found).sum())
        return np.stack([images, of_all[rows, positive], chosen], 1), found

    def _queries(
        self, random: NDArray[np.float64], again: NDArray[np.float64], filled: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        usable = np.where(filled >= 2, self._seen, 0.0)
        if self.rule.out_of_class:
            usable = np.where(filled.sum() > filled, usable, 0.0)
        if not usable.any():
            raise ValueError(
                "no triplet can be drawn: relevance is 0 for every candidate, or no class has two "
                "images in its buffer yet"
            )
        own = np.searchsorted(np.cumsum(usable), random * usable.sum(), side="right")
        weight = np.where(self._image[own] >= 0, 1.0, 0.0)
        if self.rule.weighted and self.rule.corrected:
            weight *= self._relevance[own] / self._chance(own)
        total = np.cumsum(weight, 1)
        slot = (total <= again[:, None] * total[:, -1:]).sum(1)
        return own, np.minimum(slot, filled[own] - 1)

    def _chance(self, classes: NDArray[np.int64]) -> Float[np.ndarray, "t size"]:
        """π, or r itself in the paper's rule; 1 in empty places."""
        relevance = self._relevance[classes]
        if not self.rule.weighted:
            return np.ones_like(relevance)
        if self.rule.corrected:
            # An empty place has relevance 0, and τ may be infinite.
            relevance = np.where(relevance > 0, relevance, np.inf)
            chance: NDArray[np.float64] = -np.expm1(-relevance * self._left_out[classes, None])
            return chance
        return np.where(relevance > 0, relevance, 1.0)

    def _candidates(
        self,
        random: NDArray[np.float64],
        own: NDArray[np.int64],
        query: NDArray[np.int64],
        chance: NDArray[np.float64],
        filled: NDArray[np.int64],
        best: NDArray[np.float64] | None = None,
        wanted: NDArray[np.bool_] | None = None,
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The first accepted of uniform candidates from the query's buffer, and whether there is.

        With `best` they must be less relevant than it by the margin.
        """
        limit = self.rule.failure_limit
        slot = (random[:, :limit] * filled[own, None]).astype(np.int64)
        rows = np.arange(len(own))
        images = self._image[own]
        relevance = self._pair_relevance(images[rows, query, None], images, slot)
        if self.rule.weighted:
            weight = np.minimum(relevance, self.rule.cap)
            if self.rule.corrected:
                weight *= chance.min(1, keepdims=True) / self.rule.cap
        else:
            weight = np.where((relevance > 0) | (best is not None), 1.0, 0.0)
        accepted = random[:, limit:] * np.take_along_axis(chance, slot, 1) < weight
        accepted &= slot != query[:, None]
        if best is not None:
            accepted &= best[:, None] - relevance >= self.rule.margin
        first = accepted.argmax(1)
        found: NDArray[np.bool_] = np.take_along_axis(accepted, first[:, None], 1)[:, 0]
        counted = np.ones(len(own), dtype=bool) if wanted is None else wanted
        self.counts["proposed"] += int(np.where(found, first + 1, limit)[counted].sum())
        self.counts["accepted"] += int((found & counted).sum())
        return slot[rows, first], found

    def _pair_relevance(
        self, query: NDArray[np.int64], images: NDArray[np.int64], slot: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        other = np.take_along_axis(images, slot, 1)
        pairs = np.repeat(query, other.shape[1])
        return self.of_pairs(pairs, other.ravel()).reshape(other.shape)

    def _of_other_classes(
        self, random: NDArray[np.float64], own: NDArray[np.int64], filled: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        ends = np.cumsum(filled)
        start = (ends - filled)[own]
        place = (random * (ends[-1] - filled[own])).astype(np.int64)
        place += np.where(place >= start, filled[own], 0)
        row = np.minimum(np.searchsorted(ends, place, side="right"), len(filled) - 1)
        slot = np.minimum(place - (ends - filled)[row], self.size - 1)
        chosen: NDArray[np.int64] = self._image[row, slot]
        return chosen


def _merged(
    kept: list[NDArray[Any]], new: list[NDArray[Any]], classes: NDArray[np.int64]
) -> tuple[NDArray[np.int64], list[NDArray[Any]]]:
    """The classes of what is new, and their rows with it behind what is kept; clocks first."""
    touched, row = np.unique(classes, return_inverse=True)
    order = np.argsort(row, kind="stable")
    counts = np.bincount(row)
    place = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    at = row[order], kept[0].shape[1] + place
    merged = []
    for rows, values, nothing in zip(kept, new, (np.inf, -1, 0, 0), strict=True):
        more = ((0, 0), (0, int(counts.max())))
        wide = np.pad(rows[touched], more, constant_values=nothing)
        wide[at] = values[order]
        merged.append(wide)
    return touched, merged


def _check(rule: TripletRule, classes: int, size: int) -> None:
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
