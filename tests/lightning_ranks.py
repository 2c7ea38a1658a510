"""A Lightning trainer on the ranks of `run_on_ranks`."""

import torch.distributed as dist
from pytorch_lightning.plugins.environments import LightningEnvironment
from pytorch_lightning.strategies import DDPStrategy


class OneRank(LightningEnvironment):
    """The group that is already there."""

    @property
    def creates_processes_externally(self):
        return True

    def world_size(self):
        return dist.get_world_size()

    def global_rank(self):
        return dist.get_rank()

    def local_rank(self):
        return 0

    def node_rank(self):
        return dist.get_rank()

    def set_world_size(self, size):
        pass

    def set_global_rank(self, rank):
        pass


def on_these_ranks():
    """Settings of a trainer that make it one of these ranks."""
    return {
        "strategy": DDPStrategy(process_group_backend="gloo"),
        "devices": 1,
        "num_nodes": dist.get_world_size(),
        "plugins": [OneRank()],
    }
