"""The helper itself: what the ranks return, and that their failures are seen."""

import time

import pytest
import torch
import torch.distributed as dist


class Box:
    def __init__(self, value):
        self.value = value


def sum_over_ranks(box):
    total = torch.tensor(box.value + dist.get_rank())
    dist.all_reduce(total)
    return Box((dist.get_rank(), dist.get_world_size(), total))


def fail_on_rank_1():
    if dist.get_rank() == 1:
        raise ValueError("only here")
    dist.barrier()


def sleep():
    time.sleep(60)


@pytest.mark.parametrize("world_size", [1, 2])
def test_returns_what_each_rank_returned(run_on_ranks, world_size):
    results = run_on_ranks(sum_over_ranks, world_size, Box(10))
    total = sum(10 + rank for rank in range(world_size))
    assert [box.value for box in results] == [
        (rank, world_size, torch.tensor(total)) for rank in range(world_size)
    ]


def test_may_be_called_twice(run_on_ranks):
    for _ in range(2):
        assert len(run_on_ranks(sum_over_ranks, 2, Box(1))) == 2


def test_shows_the_traceback_of_the_rank_that_failed(run_on_ranks):
    with pytest.raises(pytest.fail.Exception, match=r"rank 1: (?s:.*)ValueError: only here"):
        run_on_ranks(fail_on_rank_1, 2)


def test_gives_up_after_the_timeout(run_on_ranks):
    with pytest.raises(pytest.fail.Exception, match="still running"):
        run_on_ranks(sleep, 2, timeout=1)


def test_refuses_what_a_process_cannot_find(run_on_ranks):
    with pytest.raises(ValueError, match="top level"):
        run_on_ranks(lambda: None, 2)
