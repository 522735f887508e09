"""`@on` above functions that are not methods, and for two channels at once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from typedbus import (
    AsyncChannel,
    Bus,
    Channel,
    ChannelError,
    Component,
    Container,
    ListenerError,
    NotAMethod,
    on,
    running,
)

order_placed = Channel[[str], None]("order_placed")


@Channel.declare
def page_published(*, instance: str, revision: int) -> None: ...


@Channel.declare
def page_unpublished(*, instance: str) -> None: ...


def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a wrapper that names *function*."""

    @functools.wraps(function)
    def call(*args: Any) -> Any:
        return function(*args)

    return call


def replaced(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a wrapper that does not name *function*."""

    def call(*args: Any) -> Any:
        return function(*args)

    return call


# Functions


def refusal(text: str) -> NotAMethod:
    """Return the error of the module *text*, which marks a function."""
    with pytest.raises(NotAMethod) as caught:
        exec(compile(text, "/srv/receivers.py", "exec"), {**globals(), "__name__": "receivers"})
    return caught.value


def test_a_marked_function_of_a_module_is_refused_where_it_stands() -> None:
    """The error has the channel, the function and its place."""
    error = refusal("\n\n@on(order_placed)\ndef record(order):\n    pass\n")

    assert (error.channel, error.function, error.place) == (
        "order_placed",
        "receivers.record",
        "/srv/receivers.py:3",
    )
    assert str(error) == (
        "receivers.record (/srv/receivers.py:3) is a function outside a class, and `@on` marks methods of components: "
        "no publish on channel 'order_placed' would call it; use `@listeners.on(...)` of a `Listeners` object, "
        "or `bus[channel].subscribe(record)`"
    )


@pytest.mark.parametrize(
    "text",
    [
        "@on(order_placed)\nasync def record(order): ...",
        "@on(order_placed)\n@wrapped\ndef record(order): ...",
        "@on(order_placed)\n@replaced\ndef record(order): ...",
        "@on(order_placed)\n@functools.cache\ndef record(order): ...",
        "@on(order_placed)\n@staticmethod\ndef record(order): ...",
        "@wrapped\n@on(order_placed)\ndef record(order): ...",
        "if True:\n    @on(order_placed)\n    def record(order): ...",
        "def create_app():\n    @on(order_placed)\n    def record(order): ...\ncreate_app()",
        "@on(page_published, page_unpublished)\ndef record(**kwargs): ...",
    ],
    ids=["async", "wrapped", "replaced", "cached", "static", "decorated", "nested", "in_a_function", "two_channels"],
)
def test_other_decorators_do_not_hide_a_function(text: str) -> None:
    """The error names the function itself."""
    assert refusal(text).function.endswith("record")


def test_a_function_that_becomes_a_method_may_be_marked() -> None:
    """A function may be marked in the body of a class, with *self* as its first parameter, or by a later statement."""

    def listening(function: Callable[..., Any]) -> Callable[..., Any]:
        @on(order_placed)
        def call(*args: Any) -> Any:
            return function(*args)

        return call

    @on(order_placed)
    def later(self: object, order: str, /) -> None:
        called.append(("later", order))

    def last(this: object, order: str, /) -> None:
        called.append(("last", order))

    class Clerk:
        @listening
        def record(this, order: str, /) -> None:  # noqa: N805  # pyright: ignore[reportSelfClsParameterName]  # the test
            called.append(("record", order))

    dynamic: Any = type("Dynamic", (Clerk,), {"later": later, "last": on(order_placed)(last)})
    called: list[tuple[str, str]] = []

    class Shop(Container):
        bus = Component(Bus)
        clerk = Component(dynamic)

    with running(Shop()) as shop:
        shop.bus()[order_placed].publish("tea")

    assert called == [("record", "tea"), ("later", "tea"), ("last", "tea")]


def test_a_module_with_a_marked_function_cannot_be_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The traceback ends at the decorator."""
    module = tmp_path / "shop_receivers.py"
    module.write_text(
        "from typedbus import Channel, on\n\nplaced = Channel[[str]]('placed')\n\n"
        "@on(placed)\ndef record(order: str, /) -> None: ...\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(str(tmp_path))

    with pytest.raises(NotAMethod) as caught:
        __import__("shop_receivers")

    assert caught.value.place == f"{module}:5"
    assert any(entry.path == module and entry.lineno == 4 for entry in caught.traceback)


# Two channels


def test_a_method_listens_to_two_channels_of_different_signatures() -> None:
    """One mark names both; each publish passes its own arguments."""

    class Cache:
        def __init__(self) -> None:
            self.purged: list[tuple[str, dict[str, Any]]] = []

        @on(page_published, page_unpublished)
        def purge(self, *, instance: str, **kwargs: Any) -> None:
            self.purged.append((instance, kwargs))

    class Site(Container):
        bus = Component(Bus)
        cache = Component(Cache)

    site = Site()
    site.validate()
    with running(site):
        site.bus()[page_published].publish(instance="home", revision=2)
        site.bus()[page_unpublished].publish(instance="news")

        assert site.cache().purged == [("home", {"revision": 2}), ("news", {})]


def test_marks_of_different_signatures_may_be_stacked() -> None:
    """Type checkers refuse the outer mark; the code of a module that is not typed works, and keeps its order."""

    class Cache:
        def __init__(self) -> None:
            self.purged: list[str] = []

        @on(page_published)  # type: ignore[arg-type]  # the test
        @on(page_unpublished)
        def purge(self, *, instance: str, **kwargs: Any) -> None:
            self.purged.append(instance)

    class Site(Container):
        bus = Component(Bus)
        cache = Component(Cache)

    site = Site()
    site.validate()
    with running(site):
        site.bus()[page_published].publish(instance="home", revision=2)
        site.bus()[page_unpublished].publish(instance="news")

        assert site.cache().purged == ["home", "news"]


def test_a_method_listens_to_two_async_channels() -> None:
    """The method may be async."""
    saved = AsyncChannel[[str], None]("saved")
    deleted = AsyncChannel[[int], None]("deleted")

    class Index:
        def __init__(self) -> None:
            self.changed: list[str | int] = []

        @on(saved, deleted)
        async def update(self, key: str | int, /) -> None:
            self.changed.append(key)

    class Site(Container):
        bus = Component(Bus)
        index = Component(Index)

    with running(Site()) as site:
        site.bus()[saved].publish_from_thread("home")
        site.bus()[deleted].publish_from_thread(3)
        assert site.index().changed == ["home", 3]


def test_both_channels_of_a_mark_are_checked() -> None:
    """An object that is not a channel is refused as the second argument as well."""
    with pytest.raises(ChannelError, match="'start' is not a channel"):
        on(order_placed, "start")  # type: ignore[call-overload]  # the error


# Other mistakes


def test_a_priority_must_be_an_int() -> None:
    """The mark and the declaration refuse another one where it stands."""

    class Clerk:
        def record(self, order: str, /) -> None: ...

    with pytest.raises(ListenerError, match="its priority 'first' is not an int"):
        on(order_placed, priority="first")(Clerk.record)  # type: ignore[call-overload]  # the error
    with pytest.raises(ListenerError, match="its priority 2.5 is not an int"):
        order_placed.calls(Clerk.record, priority=2.5)  # type: ignore[arg-type]  # the error


def test_a_function_written_in_c_cannot_be_marked() -> None:
    """The error names the way out."""
    with pytest.raises(ListenerError, match=r"use `channel\.calls\(\.\.\.\)` in the declaration of the component"):
        on(order_placed)(print)
