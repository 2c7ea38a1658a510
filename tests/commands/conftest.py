"""Commands run as they do for a user: shapes and types are checked by the tests of the parts."""

import pytest


@pytest.fixture(autouse=True, scope="module")
def _as_for_a_user(as_in_a_run):
    return as_in_a_run
