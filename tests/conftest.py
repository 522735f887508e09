"""How the tests are distributed over processes, and the settings of Hypothesis."""

import contextlib
import os

import pytest

with contextlib.suppress(ImportError):  # the environment of `make test-hosts` does not have it
    from hypothesis import HealthCheck, settings

    # The times of examples, and of their generation, depend on the other processes of the machine.
    settings.register_profile("untimed", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("untimed")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return one more than the number of processors: many tests wait for a process that they have started."""
    return len(os.sched_getaffinity(0)) + 1 if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1) + 1
