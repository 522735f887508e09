"""A chart of one scenario as SVG, readable on light and on dark pages."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape

from rounds import Measured

_WIDTH = 760
_LEFT = 150
_RIGHT = 130
_ROW = 24
_TOP = 56

_STYLE = """\
text { font: 13px system-ui, sans-serif; fill: #24292f; }
.title { font-weight: 600; font-size: 15px; }
.small { font-size: 11px; fill: #57606a; }
.bar { fill: #8c959f; }
.ours { fill: #0969da; }
.line { stroke: #8c959f; stroke-opacity: 0.4; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .small { fill: #9198a1; }
}"""


def chart(title: str, note: str, measured: Mapping[str, Measured], ours: str) -> str:
    """
    Return horizontal bars on a logarithmic scale, shortest first, each with its figure and its ratio.

    Args:
        title: The heading of the chart.
        note: The line below the title, in smaller type.
        measured: The figures of each bar, by name.
        ours: The name of the highlighted bar.
    """
    rows = sorted(measured.items(), key=lambda row: row[1].least)
    lowest = 10 ** math.floor(math.log10(rows[0][1].least))
    highest = rows[-1][1].least
    # At least one power of ten, so as not to divide by zero.
    scale = (_WIDTH - _LEFT - _RIGHT) / max(math.log10(highest / lowest), 1)
    height = _TOP + _ROW * len(rows) + 30
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
            f'role="img" aria-label="{escape(title)}">'
        ),
        f"<style>{_STYLE}</style>",
        f'<text class="title" x="0" y="18">{escape(title)}</text>',
        f'<text class="small" x="0" y="36">{escape(note)}</text>',
    ]
    bottom = _TOP + _ROW * len(rows)
    power = lowest
    while power <= highest:
        x = _LEFT + scale * math.log10(power / lowest)
        parts.append(f'<line class="line" x1="{x:.1f}" y1="{_TOP - 6}" x2="{x:.1f}" y2="{bottom}"/>')
        parts.append(f'<text class="small" x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{power:,} ns</text>')
        power *= 10
    for number, (name, figures) in enumerate(rows):
        y = _TOP + _ROW * number
        width = max(2.0, scale * math.log10(figures.least / lowest))
        kind = "ours" if name == ours else "bar"
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 14}" text-anchor="end">{escape(name)}</text>')
        parts.append(f'<rect class="{kind}" x="{_LEFT}" y="{y + 2}" width="{width:.1f}" height="16" rx="2"/>')
        parts.append(
            f'<text x="{_LEFT + width + 6:.1f}" y="{y + 14}">{figures.least:,.0f} ns ({figures.ratio:.2f})</text>'
        )
    return "\n".join([*parts, "</svg>", ""])
