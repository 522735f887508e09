"""
The metrics of a bus for Prometheus.

`Metrics` is a collector: when Prometheus scrapes, it makes samples of the counts and
durations of ``bus.observe(...)``. A publish does not call prometheus-client.
"""

from __future__ import annotations

try:
    from typedbus.prometheus._metrics import Metrics, MetricsConflict
except ModuleNotFoundError as _missing:
    if (_missing.name or "").partition(".")[0] != "prometheus_client":
        raise
    raise ImportError(
        'typedbus.prometheus needs prometheus-client: pip install "typedbus[prometheus]"', name="prometheus_client"
    ) from _missing

from typedbus._base.exports import export

__all__ = ("Metrics", "MetricsConflict")

export(globals())
