"""One rank of `run_on_ranks`: joins the group, calls the function, leaves its result in a file."""

import importlib.util
import os
import pickle
import sys
import traceback
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist


def run(call: dict[str, Any]) -> None:
    folder, rank = Path(call["folder"]), call["rank"]
    torch.set_num_threads(1)
    if sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    try:
        dist.init_process_group(
            "gloo",
            init_method=f"file://{folder / 'group'}",
            rank=rank,
            world_size=call["world_size"],
            timeout=timedelta(seconds=call["timeout"]),
        )
        function = getattr(_load(call["module"], call["path"]), call["name"])
        result = function(*pickle.loads((folder / "args").read_bytes()))
        (folder / f"result_{rank}").write_bytes(pickle.dumps(result))
        dist.barrier()
        dist.destroy_process_group()
    except BaseException:
        (folder / f"error_{rank}").write_text(f"rank {rank}: {traceback.format_exc()}")
        sys.exit(1)


def _load(name: str, path: str) -> Any:
    """The test's module under the name that pytest gave it, so that its classes unpickle."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    sys.path.append(str(Path(__file__).parents[1]))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


if __name__ == "one_rank":
    run(CALL)
