"""The buckets of histograms, as prometheus-client takes them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence


def named_buckets(cumulative: Iterable[tuple[float, int]]) -> Sequence[tuple[str, float]]:
    """Return each upper bound in seconds, the last of which is infinite, as text, and how many values it includes."""
    return [("+Inf" if math.isinf(bound) else repr(bound), count) for bound, count in cumulative]
