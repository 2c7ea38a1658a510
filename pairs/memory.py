"""Cross-batch memory: references from past batches."""

import weakref
from typing import Any

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from ranklight.kernels.checks import check_not_negative, whole
from ranklight.kernels.distributed import all_gather
from ranklight.pairs.references import InBatch, References


class CrossBatchMemory(nn.Module):
    """The references are the batch, and the newest embeddings of batches before it.

    Embeddings drift slowly, so past ones stand in for a batch many times as large. They carry no
    gradient. The batch leads; the past is a term of its own,

        L = L(batch) + w · L(past),

    or, with `joined`, one term over both. A batch enters the memory after it was used, in the order
    of the global batch: on any number of ranks each rank holds the same memory. Where the images'
    indices are given, an image's own past copies are no references of it. Only training fills the
    memory.

    Wang, Zhang, Huang, Scott: Cross-Batch Memory for Embedding Learning, CVPR 2020,
    arXiv 1912.06798; w = 1 as in the released code. That code enqueues before the loss and then
    drops positives with a similarity above 1 − 1e-5, which also loses duplicates.
    pytorch-metric-learning's class of this name also enqueues first and has one term, over the
    memory with the batch in it: two terms here are 1.5 to 2 times its value. `joined` with a memory
    smaller by a batch has its value, but twice its gradient while the batch is all there is and
    less later, for its copy of the batch in the memory carries none.

    `diagnostics` holds, after a batch with indices, `memory_age`: how many steps ago its rows were
    enqueued, on average; and `memory_drift`: the paper's ‖f_now(x) − f_then(x)‖², a mean over the
    images x of the batch that are in the memory, nan if none is.

    The whole memory (contents, labels, indices, ages, steps) is in the state dict. One of another
    size or dimension is refused.

    Args:
        size: Rows kept; the paper's code keeps about the size of the data set.
        start_step: Steps without the past, while embeddings still drift fast; they do fill it.
        weight: w, 0 or more; only without `joined`.
        joined: One term over batch and past, instead of two.

    Raises:
        TypeError: A setting is no number.
        ValueError: The size is not positive, a step or the weight below 0; embeddings or labels
            have another shape than those held; or, when loading, the state is of another memory.

    Example:
        >>> memory = CrossBatchMemory(size=3)
        >>> for step in range(3):
        ...     references = memory(torch.full((2, 4), float(step)), torch.tensor([0, 1]))
        >>> references.embeddings[:, 0].tolist(), references.memory.embeddings[:, 0].tolist()
        ([2.0, 2.0], [1.0, 0.0, 1.0])
    """

    def __init__(
        self, size: int, start_step: int = 0, weight: float = 1.0, joined: bool = False
    ) -> None:
        super().__init__()
        if size < 1:
            raise ValueError(f"a memory needs at least one row, got size={size}")
        check_not_negative(start_step=whole(start_step, "start_step"), weight=weight)
        if joined and weight != 1:
            raise ValueError(
                f"weight {weight} is of the past as a term of its own, and joined leaves one term: "
                "leave one of the two out"
            )
        self.size = size
        self.start_step = start_step
        self.weight = weight
        self.joined = joined
        self.in_batch = InBatch()
        self.reset()

    def reset(self) -> None:
        """Forget everything, also how many steps there were."""
        self.steps = 0
        self.enqueued = 0
        self._rows: dict[str, Tensor] = {}
        self._pending: dict[str, Tensor] = {}
        self.diagnostics: dict[str, Tensor] = {}
        self._handed_out: list[weakref.ref[Tensor]] = []

    def __len__(self) -> int:
        return min(self.enqueued, self.size)

    def forward(
        self,
        embeddings: Float[Tensor, "n d"],
        labels: Shaped[Tensor, "n ..."],
        index: Int[Tensor, " n"] | None = None,
    ) -> References:
        """The batch and, from `start_step` on, the past.

        The past is a view of the memory, so a batch is written into it when the next one comes,
        after its own backward. Where somebody holds that view still, as between two forwards and
        one backward, the batch is written into a copy.
        """
        found: References = self.in_batch(embeddings, labels, index)
        self._check_fits({"embeddings": embeddings, "labels": labels})
        index = None if index is None else index.long()
        self._write_pending()
        if self.steps >= self.start_step and len(self):
            past = self._remembered(embeddings, index)
            found = _join(found, past) if self.joined else found._replace(memory=past)
            found = found._replace(weight=self.weight)
        if self.training:
            self._enqueue(embeddings.detach(), labels, index)
            self.steps += 1
        return found

    def _check_fits(self, batch: dict[str, Tensor]) -> None:
        held = self._rows or self._pending
        for name, rows in batch.items():
            if held and rows.shape[1:] != held[name].shape[1:]:
                raise ValueError(
                    f"the memory holds {name} of shape {list(held[name].shape[1:])} each; got "
                    f"{list(rows.shape[1:])}"
                )

    def _remembered(self, embeddings: Tensor, index: Tensor | None) -> References:
        rows = self._filled(embeddings.device)
        self._handed_out = [weakref.ref(rows["embeddings"]), weakref.ref(rows["labels"])]
        if index is None:
            mask = torch.ones(
                len(embeddings), len(self), dtype=torch.bool, device=embeddings.device
            )
        else:
            mask = index.unsqueeze(1) != rows["index"].unsqueeze(0)
            if len(index):
                self._diagnose(embeddings.detach(), rows, index)
        return References(rows["embeddings"].to(embeddings.dtype), rows["labels"], mask)

    def _diagnose(self, embeddings: Tensor, rows: dict[str, Tensor], index: Tensor) -> None:
        """How old the memory is, and how far the batch's images moved from their newest copies."""
        known, order = index.sort()
        match = torch.searchsorted(known, rows["index"]).clamp(max=len(known) - 1)
        # An image may have several copies in the memory. A stamp holds the step at which a copy was
        # enqueued and, as the remainder by the size, its slot: the largest stamp of an image is
        # its newest copy and says where that is. 0 is no copy, for steps count from 1.
        slot = torch.arange(len(match), device=match.device)
        stamp = (rows["born"] + 1) * self.size + slot
        stamp = torch.where(known[match] == rows["index"], stamp, 0)
        newest = torch.zeros_like(index).scatter_reduce_(0, order[match], stamp, "amax")
        moved = (embeddings - rows["embeddings"][newest % self.size]).square().sum(1)
        has_copy = newest > 0
        self.diagnostics = {
            "memory_age": self.steps - rows["born"].float().mean(),
            "memory_drift": torch.where(has_copy, moved, 0).sum() / has_copy.sum(),
        }

    def _filled(self, device: torch.device) -> dict[str, Tensor]:
        self._rows = {name: rows.to(device) for name, rows in self._rows.items()}
        return {name: rows[: len(self)] for name, rows in self._rows.items()}

    @torch.inference_mode(False)
    @torch.no_grad()
    def _enqueue(self, embeddings: Tensor, labels: Tensor, index: Tensor | None) -> None:
        if index is None:
            index = torch.full((len(labels),), -1, device=labels.device)
        self._pending = {
            "embeddings": _global_batch(embeddings).clone(),
            "labels": _global_batch(labels).clone(),
            "index": _global_batch(index).clone(),
        }
        born = torch.full_like(self._pending["index"], self.steps)
        self._pending["born"] = born

    @torch.inference_mode(False)
    def _write_pending(self) -> None:
        batch, self._pending = self._pending, {}
        if not batch:
            return
        count, device = len(batch["index"]), batch["index"].device
        if not self._rows:
            self._rows = {
                name: rows.new_zeros(self.size, *rows.shape[1:]) for name, rows in batch.items()
            }
        if any(view() is not None for view in self._handed_out):
            self._rows = {name: rows.clone() for name, rows in self._rows.items()}
        newest = torch.arange(max(0, count - self.size), count, device=device)
        slots = (self.enqueued + newest) % self.size
        for name, rows in batch.items():
            self._rows[name] = self._rows[name].to(rows.device)
            self._rows[name][slots] = rows[newest].to(self._rows[name].dtype)
        self.enqueued += count

    def __getstate__(self) -> dict[str, Any]:
        """For copies, which hand out views of rows of their own."""
        return {**self.__dict__, "_handed_out": []}

    def get_extra_state(self) -> dict[str, Any]:
        """The memory, for the state dict."""
        self._write_pending()
        return {
            "size": self.size,
            "steps": self.steps,
            "enqueued": self.enqueued,
            "rows": {name: rows.clone() for name, rows in self._rows.items()},
        }

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Take over a memory."""
        if state["size"] != self.size:
            raise ValueError(
                f"the checkpoint has a memory of {state['size']} rows, this one has {self.size}: "
                "give it the same size, or start without the checkpoint"
            )
        self._write_pending()
        own, given = self._rows.get("embeddings"), state["rows"].get("embeddings")
        if own is not None and given is not None and own.shape != given.shape:
            raise ValueError(
                f"the checkpoint's memory has {given.shape[1]} dimensions, this one {own.shape[1]}"
            )
        self.steps = state["steps"]
        self.enqueued = state["enqueued"]
        self._rows = {name: rows.clone() for name, rows in state["rows"].items()}


def _join(batch: References, past: References) -> References:
    return References(
        torch.cat([batch.embeddings, past.embeddings]),
        torch.cat([batch.labels, past.labels]),
        torch.cat([batch.mask, past.mask], dim=1),
    )


def _global_batch(rows: Tensor) -> Tensor:
    """The rows of all ranks, as the global batch had them before each rank took its stride."""
    return all_gather(rows).transpose(0, 1).flatten(0, 1)
