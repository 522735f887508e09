"""Providers of OpenTelemetry whose spans stay in memory, and their spans as trees."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Tracer

Tree: TypeAlias = dict[str, Any]


class Recorded:
    """
    A provider of tracers, and the spans that have ended.

    Attributes:
        provider: The provider, for the code under test.
        tracer: A tracer of it, for the test.
    """

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer: Tracer = self.provider.get_tracer("test")

    @property
    def spans(self) -> list[ReadableSpan]:
        """The spans that have ended, in the order of their beginnings."""
        spans = self._exporter.get_finished_spans()
        return sorted(spans, key=lambda span: span.start_time or 0)

    def clear(self) -> None:
        """Forget the spans so far."""
        self._exporter.clear()

    def tree(self) -> Tree:
        """Return the names of all spans, each with the tree of its children; a second sibling has `` (2)`` after it."""
        return self._children(None)

    def _children(self, parent: int | None) -> Tree:
        children = [span for span in self.spans if (span.parent.span_id if span.parent else None) == parent]
        tree: Tree = {}
        for span in children:
            name, number = span.name, 1
            while name in tree:
                number += 1
                name = f"{span.name} ({number})"
            tree[name] = self._children(span.context.span_id)
        return tree

    def span(self, name: str) -> ReadableSpan:
        """Return the only span called *name*."""
        (span,) = (span for span in self.spans if span.name == name)
        return span

    def attributes(self, name: str) -> Mapping[str, Any]:
        """Return the attributes of the only span called *name*."""
        return dict(self.span(name).attributes or {})

    def texts(self) -> Iterator[str]:
        """Yield each span as JSON, with all attributes and events."""
        return (span.to_json() for span in self.spans)
