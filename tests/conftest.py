"""How the tests are distributed over processes, and the settings of Hypothesis."""

import contextlib
import os

import pytest

with contextlib.suppress(ImportError):  # the environment of `make test-hosts` does not have it
    from hypothesis import settings

    # The time of an example depends on the other processes of the machine.
    settings.register_profile("no deadline", settings.default, deadline=None)
    settings.load_profile("no deadline")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return one more than the number of processors: many tests wait for a process that they have started."""
    return len(os.sched_getaffinity(0)) + 1 if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1) + 1
