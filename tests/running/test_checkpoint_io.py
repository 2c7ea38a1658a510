"""A checkpoint is whole, or the one before it still is."""

import os
import resource
import signal

import pytest
import torch

from ranklight.running.checkpoint_io import AtomicCheckpointIO, before_of, is_whole, newest_whole

OLD, NEW = ({"weights": torch.full((1000,), value)} for value in (1.0, 2.0))


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "checkpoints" / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint(OLD, path)
    return path


def weights(path):
    return torch.load(path, weights_only=True)["weights"][0].item()


def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def save_half(checkpoint, file):
    file.write(b"half of it")
    file.flush()
    die()


KILLED_IN = {"torch.save": save_half, "os.fsync": die, "os.link": die, "pathlib.Path.replace": die}


@pytest.mark.parametrize("place", KILLED_IN)
def test_killed_between_two_writes(path, monkeypatch, place):
    monkeypatch.setattr(place, KILLED_IN[place])
    child = os.fork()
    if child == 0:
        AtomicCheckpointIO().save_checkpoint(NEW, path)
        os._exit(0)
    monkeypatch.undo()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert weights(newest_whole(path)) == 1
    AtomicCheckpointIO().save_checkpoint(NEW, path)
    assert (weights(path), weights(before_of(path))) == (2, 1)


def test_a_full_disk_leaves_what_was_there_and_says_so(path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError, match=r"last\.ckpt could not be written .* Is the disk full\?"):
            AtomicCheckpointIO().save_checkpoint(NEW, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert weights(path) == 1
    assert [file.name for file in path.parent.iterdir()] == ["last.ckpt"]


@pytest.mark.parametrize("size", [0, 10, 1000, -1])
def test_cut_off_anywhere_it_is_not_whole_and_the_one_before_is_used(path, size):
    AtomicCheckpointIO().save_checkpoint(NEW, path)
    assert is_whole(path)
    os.truncate(path, size if size >= 0 else path.stat().st_size - 1)
    assert not is_whole(path)
    with pytest.warns(UserWarning, match=r"last\.ckpt is damaged; going on from .*before\.ckpt"):
        assert weights(newest_whole(path)) == 1


def test_a_changed_byte_is_noticed(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert not is_whole(path)


def test_nothing_whole_is_left(path):
    path.write_bytes(b"")
    with pytest.raises(OSError, match="damaged, and there is no whole one before it"):
        newest_whole(path)


def test_removed_with_the_one_before(path):
    AtomicCheckpointIO().save_checkpoint(NEW, path)
    AtomicCheckpointIO().remove_checkpoint(path)
    assert not list(path.parent.iterdir())
