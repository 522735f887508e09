"""Listeners for one class or one sender, which the checkers accept."""

from by_class import BlogPage, Image, Page, Saved, exactly, only, only_async, opened, post_save, saved, sent_by, stored

from typedbus import Bus, Listeners, on

listeners = Listeners()


def index(page: Page, /, *, created: bool) -> None: ...


def tag(item: Page | Image, /, *, created: bool) -> None: ...


def a_listener_receives_the_instances_of_a_class(bus: Bus) -> None:
    bus[saved].subscribe(only(Page)(index))
    bus[saved].subscribe(exactly(Page)(index))
    bus[saved].publish(BlogPage(), created=True)

    @bus[saved].subscribe(priority=10)
    @only(Image)
    def shrink(image: Image, /, *, created: bool = False) -> None:
        image.size = 1


def a_listener_of_a_base_class_fits(bus: Bus) -> None:
    bus[saved].subscribe(only(BlogPage)(index))
    bus[saved].subscribe(only(Image)(tag))
    bus[post_save[BlogPage]].subscribe(index_event)


def a_listener_receives_what_one_object_sends(bus: Bus, page: Page) -> None:
    def read(sender: Page, /) -> None: ...

    bus[opened].subscribe(sent_by(page)(read))


def a_listener_of_an_async_channel_is_filtered(bus: Bus) -> None:
    def read(page: Page, /) -> None: ...

    async def send(page: Page, /) -> None: ...

    bus[stored].subscribe(only(Page)(read))
    bus[stored].subscribe(only_async(Page)(send))


def index_event(event: Saved[Page], /) -> None: ...


@listeners.on(saved)
@only(Page)
def warm(page: Page, /, *, created: bool) -> None: ...


class Cache:
    @on(saved)
    def purge(self, instance: object, /, *, created: bool) -> None:
        if isinstance(instance, Page):
            _title: str = instance.title

    @on(post_save[Page])
    def drop(self, event: Saved[Page], /) -> None: ...


def an_event_is_published_for_the_class_of_its_instance(bus: Bus) -> None:
    bus[post_save[Page]].subscribe(index_event)
    bus[post_save[Page]].publish(Saved(instance=BlogPage()))
    post_save.publish(bus, Saved(instance=Image(), created=True))
