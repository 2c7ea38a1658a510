"""The helper itself: one call, and one failure."""

import pytest


def test_a_function_is_called_once_for_each_of_its_arguments(once):
    calls = []
    remembered = once(lambda *arguments: calls.append(arguments) or len(calls))
    assert [remembered(1), remembered(2), remembered(1), remembered(1, 2)] == [1, 2, 1, 3]


def test_what_depends_on_a_failure_is_skipped_with_its_reason(once):
    def train(ranks):
        pytest.fail(f"{ranks} ranks were still running")

    remembered = once(train)
    with pytest.raises(pytest.fail.Exception):
        remembered(2)
    with pytest.raises(pytest.skip.Exception, match=r"train\(2,\) failed: 2 ranks were still"):
        remembered(2)
