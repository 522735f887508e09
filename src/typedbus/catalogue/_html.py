"""The catalogue as one HTML file, with a box that filters the channels."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING, Final

from typedbus.catalogue._model import CatalogueChannel
from typedbus.catalogue._text import by_module, heading, port_text, use_text

if TYPE_CHECKING:
    from typedbus.catalogue import Catalogue

_STYLE: Final = """
:root { color-scheme: light dark; --line: #94a3b866; --soft: #64748b; --accent: #0369a1; --warn: #b45309 }
@media (prefers-color-scheme: dark) { :root { --soft: #94a3b8; --accent: #7dd3fc; --warn: #fbbf24 } }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 64rem; padding: 1rem }
h1 { font-size: 1.4rem } h2 { font-size: 1rem; margin: 2rem 0 .5rem; color: var(--soft); overflow-wrap: anywhere }
input { font: inherit; width: 100%; box-sizing: border-box; padding: .5rem .75rem; position: sticky; top: .5rem }
article { border: 1px solid var(--line); border-radius: .5rem; margin: .5rem 0; padding: .75rem 1rem }
h3 { font: 600 .95rem ui-monospace, monospace; margin: 0; overflow-wrap: anywhere }
p { margin: .4rem 0; white-space: pre-line } .place, .how { color: var(--soft); font-size: .85rem }
.verdict { color: var(--warn); font-weight: 600 } .table { overflow-x: auto }
table { border-collapse: collapse; font-size: .85rem } td { padding: .1rem 1rem .1rem 0; vertical-align: top }
code { font-family: ui-monospace, monospace } [hidden] { display: none }
"""

_SCRIPT: Final = """
const box = document.querySelector("input"), count = document.querySelector("output");
function filter() {
  const words = box.value.toLowerCase().split(/\\s+/).filter(Boolean);
  let shown = 0;
  for (const article of document.querySelectorAll("article")) {
    const text = article.textContent.toLowerCase();
    article.hidden = !words.every(word => text.includes(word));
    shown += !article.hidden;
  }
  for (const section of document.querySelectorAll("section"))
    section.hidden = !section.querySelector("article:not([hidden])");
  count.textContent = shown;
}
box.addEventListener("input", filter);
"""


def html(catalogue: Catalogue) -> str:
    """Return *catalogue* as one HTML file without references to other files."""
    sections = "".join(
        f"<section><h2>{escape(module)}</h2>{''.join(map(_article, channels))}</section>\n"
        for module, channels in by_module(catalogue.channels).items()
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Channels</title><style>{_STYLE}</style></head>\n<body>\n"
        f"<h1>Channels (<output>{len(catalogue.channels)}</output>)</h1>\n"
        '<input type="search" placeholder="Filter: names, types, components, files" aria-label="Filter" autofocus>\n'
        f"{sections}<script>{_SCRIPT}</script>\n</body></html>\n"
    )


def _article(channel: CatalogueChannel) -> str:
    return "".join(
        (
            f'<article id="{escape(channel.key)}"><h3>{escape(heading(channel))}</h3>',
            f'<div class="place">{escape(channel.file)}:{channel.line}</div>',
            f'<p class="verdict">Deprecated: {escape(channel.deprecated)}</p>' if channel.deprecated else "",
            f"<p>{escape(channel.doc)}</p>" if channel.doc else "",
            f'<div class="verdict">{escape(channel.verdict)}</div>' if channel.verdict else "",
            f'<div class="table"><table>{"".join(_rows(channel))}</table></div></article>\n',
        )
    )


def _rows(channel: CatalogueChannel) -> Iterator[str]:
    rows = [
        *((use.how, use_text(use), f"{use.file}:{use.line}") for use in channel.shown_uses),
        *((port.kind, port_text(port), "") for port in channel.ports),
    ]
    for how, name, place in rows:
        yield (
            f'<tr><td class="how">{escape(how)}</td><td><code>{escape(name)}</code></td>'
            f'<td class="place">{escape(place)}</td></tr>'
        )
