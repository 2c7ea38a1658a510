"""The same evaluation and the same objective on one, two and four gloo processes of this machine.

Each process has one thread, so more of them than cores gain nothing; what a rank holds and sends is
the same on any machine. Bytes are counted where blocks are sent.
"""

import tempfile
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as processes
import torch.nn.functional as F
from torch import Tensor

from benchmarks.measure import Work, extra_memory, median_alone
from ranklight.files.markdown import table_lines
from ranklight.losses import MultiSimilarityLoss
from ranklight.metrics import evaluate_retrieval
from ranklight.miners import MultiSimilarityMiner
from ranklight.pairs import Objective
from ranklight.search import Embedded, Shards

_WORLDS = (1, 2, 4)
_ROWS, _DIM, _CLASSES = 20_000, 128, 4_000
_BATCH, _WIDE = 256, 512


def main() -> bool:
    results = {ranks: _on_ranks(ranks) for ranks in _WORLDS}
    alone = results[1][0]["scores"]
    same = all(result["scores"] == alone for ranks in results.values() for result in ranks)
    print(f"\n## {_ROWS:,} x {_DIM} in {_CLASSES:,} classes, and a batch of {_BATCH} x {_WIDE}\n")
    columns = ["processes", "evaluation", "rows a rank", "extra memory a rank", "sent by a rank"]
    columns += ["objective, forward + backward", "numbers of one process"]
    rows = []
    for ranks, result in results.items():
        cells = [
            f"{max(of['evaluation'] for of in result):.3g} s",
            f"{max(of['rows'] for of in result):,}",
            f"{max(of['memory'] for of in result):.3g} MiB",
            f"{max(of['sent'] for of in result) / 2**20:.3g} MiB",
            f"{max(of['objective'] for of in result) * 1e3:.3g} ms",
            "yes" if same else "**no**",
        ]
        rows.append([str(ranks), *cells])
    print("\n".join(table_lines(columns, rows)))
    return same


def _on_ranks(ranks: int) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        processes.spawn(_run, (ranks, folder), ranks)
        return [torch.load(Path(folder) / f"{rank}.pt") for rank in range(ranks)]


def _run(rank: int, ranks: int, folder: str) -> None:
    torch.set_num_threads(1)
    group = {"rank": rank, "world_size": ranks, "init_method": f"file://{folder}/group"}
    dist.init_process_group("gloo", **group)
    sent = _count_bytes()
    evaluate = _evaluation(rank, ranks)
    result: dict[str, Any] = {"rows": len(range(rank, _ROWS, ranks)), "scores": evaluate()}
    result["sent"] = sent[0]
    result["memory"] = extra_memory(evaluate)
    result["evaluation"] = median_alone(evaluate, 3)
    result["objective"] = median_alone(_objective(rank, ranks), 11)
    torch.save(result, Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


def _count_bytes() -> list[int]:
    """Bytes that this rank has sent in blocks, as a list of one number that grows."""
    sent, send = [0], dist.batch_isend_irecv

    def count_and_send(works: list[dist.P2POp]) -> list[dist.Work]:
        sent[0] += sum(work.tensor.nbytes for work in works if work.op is dist.isend)
        return send(works)

    dist.batch_isend_irecv = count_and_send
    return sent


def _evaluation(rank: int, ranks: int) -> Work:
    embeddings, labels = _images(_ROWS, _DIM, _CLASSES)
    own, own_labels = embeddings[rank::ranks].clone(), labels[rank::ranks].clone()
    shards = Shards([torch.arange(other, _ROWS, ranks) for other in range(ranks)], rank)
    return lambda: evaluate_retrieval(Embedded(own, own_labels, shards=shards))


def _objective(rank: int, ranks: int) -> Work:
    embeddings, labels = _images(_BATCH, _WIDE, _BATCH // 4)
    own, own_labels = embeddings[rank::ranks].clone(), labels[rank::ranks].clone()
    objective = Objective(MultiSimilarityLoss(), MultiSimilarityMiner())

    def step() -> None:
        objective(own.clone().requires_grad_(), own_labels).backward()

    return step


def _images(rows: int, width: int, classes: int) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(0)
    labels = torch.arange(rows) % classes
    centers = F.normalize(torch.randn(classes, width, generator=draw))
    noise = torch.randn(rows, width, generator=draw) / width**0.5
    return F.normalize(centers[labels] + 1.3 * noise), labels


if __name__ == "__main__":
    main()
