"""Listeners for one class or one sender, which the checkers refuse."""

from by_class import Image, Page, Saved, exactly, only, only_async, opened, post_save, saved, sent_by, stored

from typedbus import Bus, Listeners, on

listeners = Listeners()


def index(page: Page, /, *, created: bool) -> None: ...


def announce(page: Page, /) -> None: ...


def count(page: Page, /, *, created: str) -> None: ...


def index_event(event: Saved[Page], /) -> None: ...


def a_listener_of_another_class(bus: Bus, image: Image) -> None:
    only(Image)(index)  # E
    exactly(Image)(index)  # E
    sent_by(image)(announce)  # E
    bus[post_save[Image]].subscribe(index_event)  # E


def a_listener_that_does_not_take_the_other_arguments(bus: Bus) -> None:
    bus[saved].subscribe(only(Page)(announce))  # E
    bus[saved].subscribe(exactly(Page)(announce))  # E
    bus[saved].subscribe(only(Page)(count))  # E
    bus[opened].subscribe(only(Page)(index))  # E


def a_listener_without_its_filter(bus: Bus) -> None:
    bus[saved].subscribe(index)  # E


def an_async_listener_that_is_not_awaited(bus: Bus) -> None:
    async def send(page: Page, /) -> None: ...

    only(Page)(send)  # E
    only_async(Image)(send)  # E
    bus[stored].subscribe(send)  # E


@listeners.on(saved)  # E
@only(Page)
def warm(page: Page, /) -> None: ...


class Cache:
    @on(post_save[Image])  # E
    def drop(self, event: Saved[Page], /) -> None: ...


def an_event_of_another_class(bus: Bus) -> None:
    bus[post_save[Page]].publish(Saved(instance=Image()))  # E
