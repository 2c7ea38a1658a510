import datetime
import os
import pickle

import numpy as np
import pytest

from ranklight.datamodules.reading.plain_pickle import read_plain_pickle

PYTHON_2_ARRAY = (
    b"cnumpy.core.multiarray\n_reconstruct\np0\n(cnumpy\nndarray\np1\n(I0\ntp2\nS'b'\np3\ntp4\nRp5\n"
    b"(I1\n(I2\ntp6\ncnumpy\ndtype\np7\n(S'i2'\np8\nI0\nI1\ntp9\nRp10\n(I3\nS'<'\np11\nNNNI-1\nI-1\n"
    b"I0\ntp12\nbI00\nS'\\x01\\x00\\x02\\x00'\np13\ntp14\nb."
)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_lists_and_arrays_come_back(tmp_path, protocol):
    content = {
        "trn": [[1, 2], [0, 2]],
        "val": np.arange(6, dtype=np.int32).reshape(2, 3),
        "far": [np.array([0.5, 2.0]), np.float32(3)],
        "flags": (True, None, "text"),
    }
    path = tmp_path / "lists.pkl"
    path.write_bytes(pickle.dumps(content, protocol=min(protocol, 4)))
    read = read_plain_pickle(path)
    assert read["trn"] == content["trn"]
    assert np.array_equal(read["val"], content["val"])
    assert read["val"].dtype == np.int32
    assert np.array_equal(read["far"][0], content["far"][0])
    assert read["far"][1] == 3
    assert read["flags"] == content["flags"]


def test_arrays_of_python_2(tmp_path):
    (tmp_path / "old.pkl").write_bytes(PYTHON_2_ARRAY)
    assert read_plain_pickle(tmp_path / "old.pkl").tolist() == [1, 2]


class Command:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: {"trn": [x]}, lambda x: np.array([x])])
def test_a_file_that_wants_more_is_refused_and_does_nothing(tmp_path, wrap):
    path = tmp_path / "evil.pkl"
    path.write_bytes(pickle.dumps(wrap(Command(tmp_path / "made"))))
    with pytest.raises(ValueError, match=r"evil\.pkl is not a pickle of plain lists and arrays"):
        read_plain_pickle(path)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "content",
    [pickle.dumps(datetime.date(2020, 1, 1)), b"", b"not a pickle", b"cbuiltins\neval\n."],
)
def test_other_content_is_refused(tmp_path, content):
    (tmp_path / "other.pkl").write_bytes(content)
    with pytest.raises(ValueError, match=r"other\.pkl is not a pickle"):
        read_plain_pickle(tmp_path / "other.pkl")
