"""Which methods of a component listen: by name, by mark, by declaration; and faults of methods that do not match their channel."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from typing import Any

import pytest

from typedbus import (
    EXIT,
    GRACEFUL,
    LOG,
    MAIN,
    START,
    STOP,
    Bus,
    Channel,
    Component,
    Container,
    InvalidContainer,
    TransitionFailures,
    on,
    running,
)
from typedbus._container.faults import Fault
from typedbus.faults import HookFault
from typedbus.types import Exits, Logs, Reloads, Starts, Stops, Ticks

placed = Channel[[int, str], None]("placed")
ring = Channel[[], None]("ring")
bare: Channel[[int], None] = Channel("bare")


@Channel.declare
def stock_low(sku: str, /, *, left: int = 0, **more: float) -> None:
    """Fewer than the reorder level are left of `sku`."""


@Channel.declare
def measured(number: int, unit: str = "m", *rest: int) -> None:
    """`number` of `unit` were measured, and *rest* besides."""


@Channel.declare
def unknown(thing: Nowhere) -> None:  # type: ignore[name-defined]  # noqa: F821  # as under TYPE_CHECKING
    """Has an annotation that cannot be resolved at run time."""


class Notes:
    """Records the calls of its methods."""

    def __init__(self) -> None:
        self.notes: list[object] = []

    def note(self, *what: object) -> None:
        """Record *what*."""
        self.notes.append(what if len(what) > 1 else what[0])


class Everything(Notes, Starts, Stops, Exits, Reloads, Ticks, Logs):
    """Has a method for each channel of the life cycle."""

    def start(self) -> None:
        """Record the call."""
        self.note("start")

    def stop(self) -> None:
        """Record the call."""
        self.note("stop")

    def exit(self) -> None:
        """Record the call."""
        self.note("exit")

    def graceful(self) -> None:
        """Record the call."""
        self.note("graceful")

    def main(self) -> None:
        """Record the call."""
        self.note("main")

    def log(self, message: str, level: int, /) -> None:
        """Record the call."""
        self.note(message, level)


class One(Container):
    """A container of a bus and one component, which each test declares."""

    bus = Component(Bus)


def with_part(part: Component[Any]) -> Any:
    """Return a container with *part* as its one component, `part`."""
    container_class: Callable[[], One] = type("Shop", (One,), {"part": part})
    return container_class()


def faults_of(part: Component[Any]) -> list[str]:
    """Return the faults that `validate()` reports for *part*, without its place."""
    try:
        with_part(part).validate()
    except InvalidContainer as invalid:
        faults = [fault for fault in invalid.exceptions if isinstance(fault, Fault)]
        assert {type(fault) for fault in faults} == {HookFault}
        assert {(fault.path, fault.place) for fault in faults} == {("Shop.part", part.place)}
        return [fault.problem for fault in faults]
    return []


def live(part: Component[Any]) -> Any:
    """Run *part* through its life cycle, with a publish on each channel, and return it."""
    with running(with_part(part)) as shop:
        bus: Bus = shop.bus()
        bus.graceful()
        bus.publish(MAIN)
        bus.log("hello", 10)
        bus.publish(placed, 1, "x")
        bus.publish(ring)
        return shop.part()


def test_methods_named_after_life_cycle_channels_listen() -> None:
    """Each listens to the channel of its name."""
    part = live(Component(Everything))

    assert part.notes == ["start", "graceful", "main", ("hello", 10), "stop", "exit"]


def test_attributes_that_are_not_methods_do_not_listen() -> None:
    """A hook must be callable and an attribute of the class."""

    class Plain(Notes):
        start = None
        stop = "stop"

        def __init__(self) -> None:
            super().__init__()
            self.exit = lambda: self.note("exit")

        @property
        def graceful(self) -> str:
            self.note("graceful")
            return ""

    assert live(Component(Plain)).notes == []


def test_a_bus_does_not_listen_by_the_names_of_its_methods() -> None:
    """These methods publish on the channels; a marked method listens."""

    class Marked(Bus, Notes):
        def __init__(self) -> None:
            Bus.__init__(self)
            Notes.__init__(self)

        @on(START)
        def begin(self) -> None:
            self.note("begin")

    class Shop(Container):
        bus = Component(Marked)

    with running(Shop()) as shop:
        assert [str(one.name) for one in shop.bus()[START].subscriptions] == ["Shop.bus.begin"]
    assert shop.bus().notes == ["begin"]


def test_static_and_class_methods_may_be_hooks() -> None:
    """They are called as Python calls them."""
    notes: list[object] = []

    class Part:
        @staticmethod
        def start() -> None:
            notes.append("start")

        @classmethod
        def stop(cls) -> None:
            notes.append(cls)

    live(Component(Part))

    assert notes == ["start", Part]


def test_a_static_method_that_does_not_match_its_channel_is_a_fault() -> None:
    """It is checked without an instance."""

    class Part:
        @staticmethod
        def start(when: int) -> None:
            """Take too much."""

    (problem,) = faults_of(Component(Part))

    assert "takes (when: int): missing a required argument: 'when'" in problem


def test_a_marked_method_listens() -> None:
    """A method may have several marks, and any name."""

    class Marked(Notes):
        @on(placed)
        def take(self, number: int, name: str) -> None:
            self.note(number, name)

        @on(ring)
        @on(START)
        def hear(self) -> None:
            self.note("heard")

    assert live(Component(Marked)).notes == ["heard", (1, "x"), "heard"]


def test_an_override_of_a_marked_method_is_called_instead() -> None:
    """It need not be marked again; a new mark for the same channel replaces the old."""

    class Marked(Notes):
        @on(ring, priority=7)
        def hear(self) -> None:
            self.note("base")

        @on(ring, priority=8)
        def listen(self) -> None:
            self.note("base")

    class Renewed(Marked):
        def hear(self) -> None:
            self.note("unmarked")

        @on(ring, priority=3)
        def listen(self) -> None:
            self.note("marked")

    with running(with_part(Component(Renewed))) as shop:
        priorities = [(one.priority, one.name) for one in shop.bus()[ring].subscriptions]
        shop.bus().publish(ring)

    assert priorities == [(3, "Shop.part.listen"), (7, "Shop.part.hear")]
    assert shop.part().notes == ["marked", "unmarked"]


def test_a_mark_in_a_base_class_is_inherited() -> None:
    """The base need not be the first."""

    class Marked:
        @on(ring)
        def hear(self) -> None:
            raise NotImplementedError

    class Part(Notes, Marked):
        def hear(self) -> None:
            self.note("heard")

    assert live(Component(Part)).notes == ["heard"]


class Scheduler(Notes):
    """A third-party class."""

    def run(self) -> None:
        """Record the call."""
        self.note("run")

    def halt(self) -> None:
        """Record the call."""
        self.note("halt")

    def take(self, number: int, name: str) -> None:
        """Record the call."""
        self.note(number, name)


def test_methods_of_third_party_classes_can_be_declared_as_hooks() -> None:
    """A subclass may override them."""

    class Special(Scheduler):
        def run(self) -> None:
            self.note("special run")

    part = Component(Special).on(
        START.calls(Scheduler.run), STOP.calls(Scheduler.halt), placed.calls(Scheduler.take, priority=-1)
    )

    assert live(part).notes == ["special run", (1, "x"), "halt"]


def test_a_function_can_be_declared_as_a_hook() -> None:
    """It is called with the component and the arguments of the publish."""

    def take(scheduler: Scheduler, number: int, name: str) -> None:
        scheduler.note("function", number, name)

    assert live(Component(Scheduler).on(placed.calls(take))).notes == [("function", 1, "x")]


def test_a_component_can_be_declared_not_to_listen() -> None:
    """This excludes methods by name, by mark and by declaration."""

    class Marked(Everything):
        @on(ring)
        def hear(self) -> None:
            self.note("heard")

    part = Component(Marked).on(placed.calls(Everything.note)).without(START, STOP, EXIT, GRACEFUL, ring, placed)

    assert live(part).notes == ["main", ("hello", 10)]


def test_a_component_without_hooks_is_not_subscribed() -> None:
    """The bus has no entry for it."""
    with running(with_part(Component(Notes))) as shop:
        assert [shop.bus()[channel].subscriptions for channel in (START, STOP, EXIT, LOG, MAIN)] == [()] * 5


def test_priorities_of_other_channels_are_as_marked_and_declared() -> None:
    """The default is 50; the priority of the start does not matter."""

    class Marked(Scheduler):
        @on(START, priority=7)
        def go(self) -> None:
            self.note("go")

        @on(ring, priority=3)
        def early(self) -> None:
            self.note("early")

        @on(ring)
        def middle(self) -> None:
            self.note("middle")

    part = live(Component(Marked).on(ring.calls(Marked.halt, priority=90), ring.calls(Marked.run, priority=-5)))

    assert part.notes == ["go", "run", "early", "middle", "halt"]


def test_a_component_has_one_priority_for_its_life_cycle() -> None:
    """It is that of the start hook; stop and exit run in reverse order, graceful in order."""

    class Marked(Everything):
        @on(START, priority=7)
        def start(self) -> None:
            super().start()

    with running(with_part(Component(Marked))) as shop:
        priorities = [
            [one.priority for one in shop.bus()[channel].subscriptions]
            for channel in (START, STOP, EXIT, GRACEFUL, MAIN, LOG)
        ]

    assert priorities == [[7], [7], [7], [7], [50], [50]]


def test_a_component_with_only_a_stop_hook_has_the_priority_of_that_hook() -> None:
    """It has a turn at the start, so that it is stopped in the reverse order."""

    class Marked(Notes):
        @on(STOP, priority=7)
        def halt(self) -> None:
            self.note("halt")

    with running(with_part(Component(Marked))) as shop:
        (place,) = shop.bus()[START].subscriptions

    assert (place.priority, place.name, place.path) == (7, "Shop.part.start", "Shop.part")
    assert shop.part().notes == ["halt"]


def test_a_component_with_only_a_stop_hook_is_subscribed_once_over_several_starts() -> None:
    """Two components are subscribed twice, even if they are equal."""

    class Part(Notes):
        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 1

        def stop(self) -> None:
            self.note("stop")

    class Shop(Container):
        bus = Component(Bus)
        a = Component(Part)
        b = Component(Part)

    shop = Shop()
    bus = shop.attach()
    for _ in range(3):
        bus.start()
        bus.stop()

    assert [one.path for one in shop.bus()[START].subscriptions] == ["Shop.a", "Shop.b"]
    assert shop.a().notes == shop.b().notes == ["stop"] * 3


def test_a_stop_or_exit_priority_that_differs_from_the_start_is_refused() -> None:
    """Stop and exit are the exact reverse of the start."""

    class Part:
        @on(START, priority=7)
        def begin(self) -> None:
            """Begin."""

        @on(STOP, priority=4)
        def halt(self) -> None:
            """Halt."""

        @on(EXIT, priority=5)
        def leave(self) -> None:
            """Leave."""

    stop, last = faults_of(Component(Part))

    assert "Part.halt does not fit channel 'stop': it has priority 4" in stop
    assert "Part.leave does not fit channel 'exit': it has priority 5" in last
    assert "the component starts at 7, and its other life-cycle hooks are called at the same priority" in stop


@pytest.mark.parametrize("priority", [None, 7], ids=["unsaid", "the same"])
def test_a_stop_priority_equal_to_the_start_is_accepted(priority: int | None) -> None:
    """It may be explicit or the default."""

    class Part(Notes):
        @on(START, priority=7)
        def begin(self) -> None:
            """Begin."""

        @on(STOP, priority=priority)
        def halt(self) -> None:
            """Halt."""

    assert faults_of(Component(Part)) == []


def misfit(**methods: Callable[..., object]) -> Component[Any]:
    """Return a component of a class with *methods*."""
    part_class: Any = type("Part", (), methods)
    return Component(part_class)


async def asynchronous(self: object) -> None:
    """Is a coroutine function."""


def log_backwards(self: object, level: int, message: str) -> None:
    """Take the two arguments in the other order."""


def log_vaguely(self: object, level, message) -> None:  # type: ignore[no-untyped-def]  # what is wrong with it
    """Take the two arguments without annotations."""


@pytest.mark.parametrize(
    ("part", "problem"),
    [
        (misfit(start=lambda self, when: None), "missing a required argument: 'when'"),
        (misfit(start=lambda: None), "too many positional arguments"),
        (misfit(main=asynchronous), "is async, and its result would not be awaited"),
        (misfit(log=log_backwards), "takes 'level' as int and is given str"),
        (misfit(log=log_vaguely), "has no annotation for 'level', and may have this name by chance"),
    ],
    ids=["demands more", "takes nothing", "async", "wrong annotation", "no annotation"],
)
def test_a_named_method_that_does_not_match_its_channel_is_a_fault(part: Component[Any], problem: str) -> None:
    """The fault has the component and the arguments of the channel."""
    (text,) = faults_of(part)

    assert "does not fit channel" in text
    assert text.endswith(problem)


def test_the_fault_of_a_named_method_recommends_two_remedies() -> None:
    """A method with the name by coincidence can be renamed, or excluded with `without`."""
    part = misfit(start=lambda self, when: None)

    with pytest.raises(InvalidContainer, match="Shop") as invalid:
        with_part(part).validate()

    assert "rename it, or declare that it does not listen: Component(...).without(START)" in str(invalid.value)
    assert "is called with () and takes (self, when)" in str(invalid.value)
    assert faults_of(part.without(START)) == []


def test_the_fault_of_a_marked_method_recommends_another_remedy() -> None:
    """The mark shows that it was meant to listen."""

    class Part:
        @on(ring)  # type: ignore[arg-type]  # the misfit
        def hear(self, what: str) -> None:
            """Hear too much."""

    with pytest.raises(InvalidContainer) as invalid:
        with_part(Component(Part)).validate()

    assert "Part.hear does not fit channel 'ring'" in str(invalid.value)
    assert "or remove the mark or declaration that makes it a listener" in str(invalid.value)


def test_the_fault_of_an_async_method_recommends_an_async_channel() -> None:
    """A publish on a `Channel` awaits nothing."""

    class Part:
        @on(ring)  # type: ignore[arg-type]  # the misfit
        async def hear(self) -> None:
            """Hear later."""

    with pytest.raises(InvalidContainer) as invalid:
        with_part(Component(Part)).validate()

    assert "it is async, and its result would not be awaited; declare the channel as an AsyncChannel" in str(
        invalid.value
    )


def test_the_fault_of_an_async_hook_with_parameters_recommends_no_async_channel() -> None:
    """`START` takes async hooks; the parameters are the problem."""

    class Part:
        @on(START)  # type: ignore[arg-type]  # the misfit
        async def begin(self, when: str) -> None:
            """Begin at a time."""

    with pytest.raises(InvalidContainer) as invalid:
        with_part(Component(Part)).validate()

    assert "missing a required argument: 'when'; correct the method" in str(invalid.value)


def test_an_async_inline_method_is_a_fault() -> None:
    """It cannot run in the thread of the transition, and would fail in the start."""

    class Part:
        @on(START, inline=True)  # type: ignore[arg-type]  # the misfit
        async def hear(self) -> None:
            """Hear on the event loop."""

    with pytest.raises(InvalidContainer) as invalid:
        with_part(Component(Part)).validate()

    assert "Part.hear does not fit channel 'start': it is async and runs on an event loop" in str(invalid.value)
    assert "remove inline=True, or make it a plain function" in str(invalid.value)


def test_a_declared_method_that_does_not_match_its_channel_is_a_fault() -> None:
    """A declaration is checked like a mark."""
    part: Any = Component(Scheduler)

    (problem,) = faults_of(part.on(START.calls(Scheduler.take)))  # type: ignore[arg-type]  # the misfit

    assert "Scheduler.take does not fit channel 'start'" in problem


def make_logger() -> logging.Logger:
    """Return an object with a method `log` of another signature."""
    return logging.getLogger(__name__)


class Handmade(logging.Logger):
    """A logger that redefines `log`."""

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Take the two the other way round than channel LOG."""


@pytest.mark.parametrize(
    "logger",
    [
        Component(make_logger),
        Component(logging.Logger, "web"),
        Component(logging.getLogger, "web"),
        Component(logging.LoggerAdapter[logging.Logger], make_logger(), {}),
    ],
)
def test_a_logger_of_the_standard_library_does_not_listen_to_the_log_channel(logger: Component[Any]) -> None:
    """Its `log(level, msg)` has the name of the channel by coincidence."""
    container = with_part(logger)
    stream = io.StringIO()
    logging.getLogger("web").addHandler(handler := logging.StreamHandler(stream))

    with running(container) as instance:
        instance.bus().log("from the bus", 20)

    logging.getLogger("web").removeHandler(handler)
    assert stream.getvalue() == ""


def test_a_log_method_of_a_user_class_that_does_not_match_is_a_fault() -> None:
    """The author chose the name, and no base class requires it."""
    (text,) = faults_of(Component(Handmade, "web"))

    assert "Handmade.log does not fit channel 'log'" in text
    assert faults_of(Component(Handmade, "web").without(LOG)) == []


def fits(self: object, sku: str, /, *, left: int = 0, **more: float) -> None:
    """Have the channel's own signature."""


def fits_with_more(self: object, *sku: str, left: int = 1, extra: int = 2, **more: float) -> None:
    """Take more than a publisher passes."""


def lacks_the_rest(self: object, sku: str, /, *, left: int = 0) -> None:
    """Take no further names."""


def lacks_the_name(self: object, sku: str, **more: float) -> None:
    """Take `left` among others, as a float."""


def demands_the_name(self: object, sku: str, /, *, left: int, **more: float) -> None:
    """Require `left`."""


def measured_fits(self: object, number: int, unit: str = "", *rest: int) -> None:
    """Have the channel's own signature."""


def measured_takes_anything(self: object, *args: object, **kwargs: object) -> None:
    """Take any arguments."""


def measured_renames(self: object, count: int, unit: str = "", *rest: int) -> None:
    """Rename the number, which a publisher may pass by name."""


def measured_hides(self: object, number: int, /, unit: str = "", *rest: int) -> None:
    """Take the number by position alone."""


def measured_lacks_the_rest(self: object, number: int, unit: str = "") -> None:
    """Take no more than two arguments."""


def measured_demands(self: object, number: int, unit: str, *rest: int) -> None:
    """Require the unit."""


def measured_counts_in_words(self: object, number: int, unit: str = "", *rest: str) -> None:
    """Take the rest as another type."""


@pytest.mark.parametrize(
    ("channel", "method", "problem"),
    [
        (stock_low, fits, None),
        (stock_low, fits_with_more, None),
        (stock_low, lacks_the_rest, "got an unexpected keyword argument 'any_other_name'"),
        (stock_low, lacks_the_name, None),
        (stock_low, demands_the_name, ": 'left'"),
        (measured, measured_fits, None),
        (measured, measured_takes_anything, None),
        (measured, measured_renames, "missing a required argument: 'count'"),
        (measured, measured_hides, "'number'"),
        (measured, measured_lacks_the_rest, "too many positional arguments"),
        (measured, measured_demands, "missing a required argument: 'unit'"),
        (measured, measured_counts_in_words, "takes 'rest' as str and is given int"),
        (bare, asynchronous, "is async, and its result would not be awaited"),
        (bare, log_backwards, None),
    ],
)
def test_a_hook_must_accept_every_call_that_a_publisher_may_make(
    channel: Any, method: Any, problem: str | None
) -> None:
    """With the fewest arguments, with the most, by position and by name; without a signature no fault is reported."""
    problems = faults_of(Component(Notes).on(channel.calls(method)))

    assert len(problems) == (problem is not None)
    assert problem is None or problem in problems[0]


def takes_float(self: object, number: float, name: object) -> None:
    """Take an int as well, as in type checkers."""


def takes_generic(self: object, number: int | None, name: str | list[str]) -> None:
    """Have annotations that are not classes."""


def takes_bool(self: object, number: bool, name: str) -> None:
    """Take a narrower type."""


def takes_nowhere(self: object, number: Nowhere, name: str) -> None:  # type: ignore[name-defined]  # noqa: F821
    """Have an annotation that cannot be resolved at run time."""


@pytest.mark.parametrize(
    ("channel", "method", "problem"),
    [
        (placed, takes_float, None),
        (placed, takes_generic, None),
        (placed, lambda self, number, name: None, None),
        (placed, takes_bool, "takes 'number' as bool and is given int"),
        (placed, takes_nowhere, None),
        (unknown, lambda self, thing: None, None),
        (unknown, lambda self: None, "too many positional arguments"),
    ],
    ids=["wider", "generic", "unannotated", "narrower", "unknown in the method", "unknown", "unknown and too few"],
)
def test_annotations_of_hooks_are_checked_against_the_channel(channel: Any, method: Any, problem: str | None) -> None:
    """Mismatches that only a type checker could find are accepted."""
    problems = faults_of(Component(Notes).on(channel.calls(method)))

    assert len(problems) == (problem is not None)
    assert problem is None or problems[0].endswith(problem)


def test_a_builtin_without_a_signature_is_accepted_and_called() -> None:
    """`dict.update` is an example."""
    update: Any = dict.update
    part = Component(dict[str, object]).on(ring.calls(update))

    assert faults_of(part) == []
    assert live(part) == {}


def test_a_hook_fault_cancels_the_start() -> None:
    """A bus that is started directly validates as well."""
    shop = with_part(misfit(start=lambda self, when: None))

    with pytest.raises(TransitionFailures) as failed:
        shop.bus().start()

    assert isinstance(failed.value.exceptions[0], InvalidContainer)
