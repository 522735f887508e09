"""How the tests are distributed over processes, and the settings of Hypothesis."""

import contextlib
import os

import pytest

with contextlib.suppress(ImportError):  # the environment of `make test-hosts` does not have it
    from hypothesis import HealthCheck, settings

    # The times of examples, and of their generation, depend on the other processes of the machine.
    settings.register_profile("random", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    # The same examples in each run, so that a change fails for its own faults; `make test-slow` draws new ones.
    settings.register_profile("repeatable", settings.get_profile("random"), derandomize=True, database=None)
    settings.load_profile("repeatable")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return one more than the number of processors: many tests wait for a process that they have started."""
    return len(os.sched_getaffinity(0)) + 1 if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1) + 1
