"""What the report says of a bus that is still spoken to by name."""

from __future__ import annotations

import importlib
import json
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from typedbus import Channel, State, wspbus
from typedbus.wspbus import Bus
from typedbus.wspbus.plugins import SimplePlugin
from typedbus.wspbus.report import CannotReport, ReportedChannel, ReportedPublisher, main, report, watch

invoiced = Channel[["Order"], None]("invoiced")


@attrs.frozen
class Order:
    """What is ordered."""

    number: int


def mail(order: Order) -> str:
    """Answer."""
    return f"mail for {order.number}"


def line_of(text: str) -> str:
    """Return the place of the line of this file that ends in the comment *text*."""
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    return f"{__file__}:{next(at for at, line in enumerate(lines, 1) if line.endswith(f'  # {text}'))}"


def only(bus: Bus, *sources: ModuleType) -> ReportedChannel:
    """Return the one channel of which the report on *bus* tells."""
    (spoken,) = report(bus, sources).channels
    return spoken


def declared(*listeners: Callable[..., Any], name: Any = "order-placed") -> list[str]:
    """Return the lines that would declare a channel with *listeners*."""
    bus = Bus()
    for listener in listeners:
        bus.subscribe(name, listener)
    return only(bus).declaration.splitlines()


def called(*args: object, **kwargs: object) -> list[str]:
    """Return the lines that would declare a channel that is published like this, and that nobody hears."""
    bus = Bus()
    watch(bus)
    bus.publish("order", *args, **kwargs)
    return [line for line in only(bus).declaration.splitlines() if not line.startswith("#")]


class TestWhoListens:
    """The subscriptions."""

    def test_a_new_bus_is_spoken_to_by_nobody(self) -> None:
        """Its own channels are typed."""
        assert report(Bus()).text() == str(report(Bus())) == "no channels used by name"

    def test_a_listener_is_told_with_where_it_was_subscribed_and_where_it_is(self) -> None:
        """By the place of the call, and by that of the definition."""
        bus = Bus()
        bus.subscribe("order-placed", mail, 20)  # by call
        (heard,) = only(bus).listeners

        assert heard.subscribed == line_of("by call")
        assert heard.name == f"{__name__}.mail"
        assert heard.place.startswith(f"{__file__}:")
        assert heard.priority == 20
        assert heard.signature == f"(order: {__name__}.Order) -> str"

    def test_a_decorator_is_the_place_of_its_line(self) -> None:
        """And not of the code that it runs through."""
        bus = Bus()
        bus.subscribe("order-placed")(mail)  # by decorator

        assert only(bus).listeners[0].subscribed == line_of("by decorator")

    def test_what_a_plugin_subscribes_is_told_by_who_let_it(self) -> None:
        """The base class looks for the names; who calls it says them."""
        bus = Bus()

        class Plugin(SimplePlugin):
            def graceful(self) -> None: ...

        Plugin(bus).subscribe()  # by plugin

        assert only(bus).name == "graceful"
        assert only(bus).listeners[0].subscribed == line_of("by plugin")

    def test_what_is_put_into_a_set_is_told_by_its_line(self) -> None:
        """The mapping has names as well."""
        bus = Bus()
        bus.listeners.setdefault("order-placed", set()).add(mail)  # by set

        assert only(bus).listeners[0].subscribed == line_of("by set")

    def test_a_subscription_that_ended_is_not_told(self) -> None:
        """The name is known to nobody but the bus, which made a channel for it."""
        bus = Bus()
        bus.subscribe("order-placed", mail)
        bus.unsubscribe("order-placed", mail)

        assert only(bus).listeners == ()
        assert "  no listeners" in report(bus).text().splitlines()

    def test_typed_code_is_told_beside_those_that_say_the_name(self) -> None:
        """In running order."""
        bus = Bus()
        bus[invoiced].subscribe(lambda order: None, priority=70)
        bus.subscribe("invoiced", mail)

        assert [heard.subscribed is None for heard in only(bus).listeners] == [False, True]
        assert only(bus).is_typed

    def test_a_channel_that_only_typed_code_speaks_to_is_not_told(self) -> None:
        """Neither is one that is handed to the old subscribe and publish as a channel."""
        bus = Bus()
        watch(bus)
        bus[invoiced].subscribe(lambda order: None)
        bus.subscribe(invoiced, mail)
        bus.publish(invoiced, Order(7))

        assert report(bus).channels == ()


class TestWhoPublishes:
    """The places that publish."""

    def test_a_bus_that_is_watched_tells_each_place_once(self) -> None:
        """However often it publishes."""
        bus = Bus()
        watch(bus)
        watch(bus)
        for number in range(3):
            bus.publish("order-placed", number, urgent=True)  # by publish

        assert only(bus).publishers == (ReportedPublisher(line_of("by publish"), 1, ("urgent",), is_read=False),)

    def test_a_bus_that_is_watched_answers_as_before(self) -> None:
        """Its listeners are called, and their results returned."""
        bus = Bus()
        bus.subscribe("order-placed", mail)
        watch(bus)

        assert bus.publish("order-placed", Order(7)) == ["mail for 7"]

    def test_what_the_bus_publishes_of_itself_is_said_by_nobody(self) -> None:
        """Only `graceful` is called, and not its name said."""
        bus = Bus()
        watch(bus)
        bus.graceful()

        assert report(bus).channels == ()

    def test_what_is_published_by_the_name_of_a_typed_channel_is_told(self) -> None:
        """Though everybody who hears it is typed."""
        bus = Bus()
        watch(bus)
        bus[invoiced].subscribe(lambda order: None)
        bus.publish("invoiced", Order(7))

        assert only(bus).declaration == f"from {__name__} import invoiced"

    def test_source_tells_the_names_that_stand_in_it(self, tmp_path: Path) -> None:
        """With places and the shape of the call; what is no name, and what is no source, tells nothing."""
        file = tmp_path / "old.py"
        file.write_text(
            "def f(bus, name):\n    bus.publish('order', 1, a=2)\n    bus.publish(name)\n    bus.log('x')\n"
        )
        module, broken, built_in = ModuleType("old"), ModuleType("broken"), ModuleType("built_in")
        module.__file__ = str(file)
        (tmp_path / "broken.py").write_text("def")
        broken.__file__ = str(tmp_path / "broken.py")

        spoken = only(Bus(), module, broken, built_in)

        assert spoken.name == "order"
        assert spoken.publishers == (ReportedPublisher(f"{file}:2", 1, ("a",), is_read=True),)
        assert f"  published in the source at {file}:2" in report(Bus(), [module]).text().splitlines()


STARTING = """
from typedbus.wspbus import Bus
from typedbus.wspbus.plugins import SimplePlugin

bus = Bus()

def hear(text: str) -> None: ...

class Base(SimplePlugin):
    def send(self, message: str, binary: bool = False) -> None: ...

class WebSockets(Base):
    def start(self):
        self.bus.subscribe("broadcast", self.send)
        self.bus.subscribe("plain", hear)
        self.bus.subscribe("unknown", self.missing)

WebSockets(bus).subscribe()

def hello():
    bus.publish("broadcast", "hello", binary=True)
"""


class TestListenersInTheSource:
    """Subscriptions that a plugin makes when it starts."""

    @pytest.fixture
    def module(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
        """A module of a plugin that has not been started."""
        (tmp_path / "starting.py").write_text(STARTING, encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)
        yield importlib.import_module("starting")
        del sys.modules["starting"]

    def test_they_are_found_with_their_parameters(self, module: ModuleType) -> None:
        """A method of the class, one that it inherits included, and a function of the module."""
        channels = {one.name: one for one in report(module.bus, [module]).channels}
        (sending,) = channels["broadcast"].listeners

        assert sending.name == "starting.Base.send"
        assert (sending.signature, sending.is_read) == ("(message: str, binary: bool = False) -> None", True)
        assert sending.subscribed == f"{module.__file__}:14"
        assert channels["broadcast"].declaration == (
            "@Channel.declare\ndef broadcast(message: str, /, *, binary: bool = False) -> None: ..."
        )
        assert channels["plain"].declaration == 'plain = Channel[[str], None]("plain")'
        assert "subscribed in the source at" in report(module.bus, [module]).text()

    def test_a_listener_that_is_no_function_of_the_module_is_named_by_its_source(self, module: ModuleType) -> None:
        """Its parameters are not known."""
        channels = {one.name: one for one in report(module.bus, [module]).channels}
        (unknown,) = channels["unknown"].listeners

        assert (unknown.name, unknown.signature) == ("self.missing", "(...)")

    def test_a_listener_that_is_subscribed_by_now_is_reported_once(self, module: ModuleType) -> None:
        """As what it is: subscribed, at the same line."""
        module.WebSockets.missing = lambda self: None
        module.bus.start()
        try:
            channels = {one.name: one for one in report(module.bus, [module]).channels}
        finally:
            module.bus.exit()
        (sending,) = channels["broadcast"].listeners

        assert (sending.subscribed, sending.is_read) == (f"{module.__file__}:14", False)


class TestDeclaration:
    """What the typed declaration would be."""

    def test_annotations_give_the_types_and_their_imports(self) -> None:
        """Of parameters and of the result."""
        assert declared(mail) == [
            f"from {__name__} import Order",
            'order_placed = Channel[[Order], str]("order-placed")',
        ]

    def test_types_within_types_are_imported(self) -> None:
        """Their module is not said again."""

        def hear(orders: dict[str, list[Order]], path: Path | None) -> None: ...

        assert declared(hear) == [
            "from pathlib import Path",
            f"from {__name__} import Order",
            'order_placed = Channel[[dict[str, list[Order]], Path | None], None]("order-placed")',
        ]

    def test_special_forms_are_said_with_their_module(self) -> None:
        """They are no classes that could be imported by name."""

        def hear(kind: Literal["a", "b"], state: State) -> None: ...

        assert declared(hear, name="order") == [
            "from typedbus import State",
            "import typing",
            "order = Channel[[typing.Literal['a', 'b'], State], None](\"order\")",
        ]

    def test_what_one_listener_says_holds_for_those_that_say_nothing(self) -> None:
        """Old code is annotated here and there."""
        assert declared(mail, lambda order: "")[-1] == 'order_placed = Channel[[Order], str]("order-placed")'

    def test_what_nobody_says_is_object_with_a_comment(self) -> None:
        """And not Any, of which a checker would ask nothing."""
        assert declared(lambda number: None) == [
            "# number: no listener annotates it",
            "# the result: no listener annotates it",
            'order_placed = Channel[[object], object]("order-placed")',
        ]

    def test_listeners_that_differ_about_a_parameter_are_told(self) -> None:
        """No type suits them both, unless a person finds one."""

        def by_number(order: int) -> str:
            return ""

        assert declared(mail, by_number) == [
            f"from {__name__} import Order",
            "# order: listeners have different annotations: Order, int",
            'order_placed = Channel[[object], str]("order-placed")',
        ]

    def test_listeners_may_answer_differently(self) -> None:
        """The result is any of theirs."""

        def count(order: Order) -> int:
            return 0

        assert declared(mail, count)[-1] == 'order_placed = Channel[[Order], str | int]("order-placed")'

    def test_an_annotation_that_cannot_be_evaluated_stands_as_it_is(self) -> None:
        """Whoever declares the channel knows where it is."""
        scope: dict[str, Any] = {}
        exec("def hear(order: Elsewhere) -> None: ...", scope)

        assert declared(scope["hear"]) == ['order_placed = Channel[[Elsewhere], None]("order-placed")']

    def test_defaults_and_keywords_need_a_function(self) -> None:
        """The name is put right where a function cannot have it."""

        def hear(order: int, copies: int = 1, *, urgent: bool) -> None: ...

        assert declared(hear) == [
            "@Channel.declare",
            "def order_placed(order: int, copies: int = 1, /, *, urgent: bool) -> None: ...",
            "",
            'order_placed.name = "order-placed"',
        ]
        assert declared(hear, name="order")[-1].startswith("def order(")

    def test_a_default_that_cannot_be_written_is_left_open(self) -> None:
        """Its repr would be no code."""
        nothing = object()

        def hear(order: object = nothing) -> None: ...

        assert declared(hear, name="order")[-1] == "def order(order: object = Ellipsis, /) -> None: ..."

    def test_a_variadic_listener_keeps_what_its_publishers_give(self) -> None:
        """Arguments beyond the fixed ones, and names that no parameter has."""
        bus = Bus()
        watch(bus)

        def add_job(job: str, *args: int, **options: str) -> None: ...

        bus.subscribe("add_job", add_job)
        assert (
            only(bus).declaration.splitlines()[-1]
            == "def add_job(job: str, /, *args: int, **options: str) -> None: ..."
        )
        bus.publish("add_job", "a")
        assert only(bus).declaration == 'add_job = Channel[[str], None]("add_job")'
        bus.publish("add_job", "a", 1)
        assert only(bus).declaration.splitlines()[-1] == "def add_job(job: str, /, *args: int) -> None: ..."
        bus.publish("add_job", "a", to="b")
        assert (
            only(bus).declaration.splitlines()[-1]
            == "def add_job(job: str, /, *args: int, **options: str) -> None: ..."
        )

    def test_a_default_that_listeners_do_not_share_stays_theirs(self) -> None:
        """A typed channel fills in one default for all of them, so the declaration leaves the parameter open."""
        bus = Bus()
        watch(bus)

        def one(order: int, copies: int = 1) -> int:
            return copies

        def other(order: int, copies: int = 2) -> int:
            return copies

        bus.subscribe("order", one)
        bus.subscribe("order", other)
        before = bus.publish("order", 7), bus.publish("order", 7, 3)
        declaration = only(bus).declaration
        assert declaration.splitlines()[-1] == "def order(order: int, /, *args: object) -> int: ..."
        names: dict[str, Any] = {"Channel": Channel}
        exec(declaration, names)
        bus[names["order"]]
        assert (bus.publish("order", 7), bus.publish("order", 7, 3)) == before

    @settings(deadline=None, max_examples=200)
    @given(st.data())
    def test_a_declaration_takes_every_call_that_it_was_made_from(self, data: st.DataObject) -> None:
        """And the listeners answer as before, whatever is optional, variadic, or given by name."""
        bus = Bus()
        watch(bus)
        parameters = st.sampled_from(
            ["a", "b", "a, b", "a, b=1", "a, b=2", "a=None", "a=object", "a, *, b=3", "a, *, b"]
        )
        variadic = st.sampled_from(["", ", *args", ", **options", ", *args, **options"])
        for number in range(data.draw(st.integers(1, 2))):
            fixed, rest = data.draw(parameters), data.draw(variadic)
            if ", *, " in fixed and rest.startswith(", *args"):
                fixed, rest = fixed.replace(", *, ", f"{rest.removesuffix(', **options')}, "), rest[len(", *args") :]
            names: dict[str, Any] = {}
            exec(f"def listener({fixed}{rest}): return {number}, locals()", names)
            bus.subscribe("order", names["listener"])
        arguments = st.tuples(
            st.lists(st.integers(0, 9), max_size=3),
            st.dictionaries(st.sampled_from(["a", "b", "c"]), st.integers(0, 9), max_size=2),
        )
        answers = []
        for args, kwargs in data.draw(st.lists(arguments, min_size=1, max_size=4)):
            try:
                for listener in bus.listeners["order"]:
                    listener(*args, **kwargs)
            except TypeError:
                continue
            answers.append((args, kwargs, bus.publish("order", *args, **kwargs)))
        declaration = only(bus).declaration
        names = {"Channel": Channel}
        exec(declaration, names)
        bus[names["order"]]
        for args, kwargs, answer in answers:
            assert bus.publish("order", *args, **kwargs) == answer, declaration

    def test_what_no_publisher_says_is_left_out(self) -> None:
        """A default that nobody has a use for is the listener's own business."""
        bus = Bus()
        watch(bus)

        def hear(order: int, copies: int = 1, *, urgent: bool = False) -> None: ...

        bus.subscribe("order", hear)
        bus.publish("order", 1)

        assert only(bus).declaration == 'order = Channel[[int], None]("order")'

    def test_what_publishers_name_keeps_its_name(self) -> None:
        """A parameter that is positional alone could not be given by it."""
        bus = Bus()
        watch(bus)

        def hear(order: int, copies: int, paper: str) -> None: ...

        bus.subscribe("order", hear)
        bus.publish("order", 1, copies=2, paper="")

        assert (
            only(bus).declaration.splitlines()[-1]
            == "def order(order: int, /, *, copies: int, paper: str) -> None: ..."
        )

    def test_where_nobody_listens_the_publishers_tell(self) -> None:
        """By the number of their arguments and by names."""
        assert called() == ['order = Channel[[], object]("order")']
        assert called(1, 2) == ['order = Channel[[object, object], object]("order")']
        assert called(1, b=2) == ["@Channel.declare", "def order(arg0: object, /, *, b: object) -> object: ..."]

    def test_where_nobody_is_known_to_speak_anything_goes(self) -> None:
        """Also where all who listen take anything, or cannot be asked."""

        def hear(*args: object) -> None: ...

        assert declared(hear, name="order") == ['order = Channel[..., None]("order")']
        assert declared(dict, name="order")[-1] == 'order = Channel[..., object]("order")'

    def test_a_listener_that_takes_anything_leaves_it_to_the_others(self) -> None:
        """It restricts nothing."""

        def hear(*args: object) -> str:
            return ""

        assert declared(hear, mail)[-1] == 'order_placed = Channel[[Order], str]("order-placed")'

    @pytest.mark.parametrize(
        ("name", "line"),
        [
            ("order", 'order = Channel[[], None]("order")'),
            ("7 days", '_7_days = Channel[[], None]("7 days")'),
            ("class", 'class_ = Channel[[], None]("class")'),
            ("it's", 'it_s = Channel[[], None]("it\'s")'),
            ("!", 'channel = Channel[[], None]("!")'),
        ],
    )
    def test_the_variable_is_made_of_the_name(self, name: str, line: str) -> None:
        """And the name stays as it is."""

        def hear() -> None: ...

        assert declared(hear, name=name) == [line]

    def test_a_name_that_is_no_string_is_told(self) -> None:
        """No typed channel can have it."""

        def hear() -> None: ...

        assert declared(hear, name=("order", 7)) == [
            "# a typed channel needs a string as its name: code that uses this name does not reach it",
            "order_7 = Channel[[], None](\"('order', 7)\")",
        ]

    def test_a_typed_channel_is_imported_from_where_most_people_would(self) -> None:
        """And not from a module that is private."""
        bus = Bus()
        bus.subscribe("start", print)

        assert only(bus).declaration == "from typedbus import START"

    def test_a_typed_channel_that_is_in_no_module_is_told(self) -> None:
        """Nobody can import it."""
        bus = Bus()
        bus[Channel[[], None]("hidden")].subscribe(lambda: None)
        bus.subscribe("hidden", lambda: None)

        assert (
            only(bus).declaration
            == "# declared, but not a global of any module: assign it to one, to import it from there"
        )


APPLICATION = """\
from typedbus.wspbus import Bus, bus
print("imported")
own = Bus()
own.subscribe("own", print)
@bus.subscribe("order")
def hear(order: int) -> None: ...
def place() -> None:
    bus.publish("order", 7)
bus.publish("early", 1)
"""
TEXT = """\
2 channels used by name

order
  50 {module}.hear(order: int) -> None subscribed at {module}.py:5
  published in the source at {module}.py:8
    order = Channel[[int], None]("order")

early
  no listeners
  published at {module}.py:9
    # arg0: no listener annotates it
    # the result: no listener annotates it
    early = Channel[[object], object]("early")
"""


def command(folder: Path, *arguments: str) -> tuple[int, str, str]:
    """Return the status of the command in *folder*, and what it printed."""
    ended = subprocess.run(
        [sys.executable, "-m", "typedbus.wspbus.report", *arguments],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    return ended.returncode, ended.stdout, ended.stderr


@pytest.fixture
def as_before() -> Iterator[None]:
    """Let the command import and watch in this process, and leave nothing of that."""
    yield
    sys.modules.pop("quiet", None)
    vars(wspbus.bus).pop("publish", None)


@pytest.mark.usefixtures("as_before")
class TestCommand:
    """`python -m typedbus.wspbus.report`."""

    @pytest.mark.slow
    def test_it_tells_of_the_shared_bus_and_of_a_module_s_own(self, tmp_path: Path) -> None:
        """What the module prints goes to stderr."""
        (tmp_path / "shop.py").write_text(APPLICATION, encoding="utf-8")

        assert command(tmp_path, "shop") == (0, TEXT.format(module="shop"), "imported\n")
        status, printed, _ = command(tmp_path, "shop:own", "--format", "json")
        told = json.loads(printed)
        assert status == 0
        assert told["format"] == 1
        assert [channel["name"] for channel in told["channels"]] == ["own", "early", "order"]
        assert told["channels"][0]["listeners"][0]["subscribed"] == f"{tmp_path / 'shop.py'}:4"

    @pytest.mark.parametrize(
        ("target", "reason"),
        [
            ("no_such_module", "No module named 'no_such_module' in {folder} and in sys.path"),
            ("broken", "its code raised ZeroDivisionError when it was imported"),
            ("lacking", "its code raised ModuleNotFoundError when it was imported"),
            (
                "ending",
                (
                    "its code ended the process when it was imported; "
                    'put the call that runs the application under `if __name__ == "__main__":`'
                ),
            ),
            (
                "lacking.py",
                "give the name of a module, without .py, and the bus in it if it has one, as in shop.main:bus",
            ),
            ("json:", "give the name of a module, without .py, and the bus in it if it has one, as in shop.main:bus"),
            ("json:bus", "json has no attribute 'bus'"),
            ("json:dumps.x", "json.dumps has no attribute 'x'"),
            ("typedbus:START", "<Channel 'start'> is not a bus of typedbus.wspbus"),
        ],
    )
    def test_what_leads_to_no_bus_is_told_and_ends_with_2(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        target: str,
        reason: str,
    ) -> None:
        """With what is wrong in the last line, and nothing on stdout."""
        for name, code in [("broken", "1 / 0"), ("lacking", "import not_there"), ("ending", "raise SystemExit(0)")]:
            (tmp_path / f"{name}.py").write_text(code, encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.chdir(tmp_path)

        assert main([target]) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err.splitlines()[-1] == f"cannot report on {target}: {reason.format(folder=tmp_path)}"

    def test_the_traceback_of_the_application_is_told(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Whoever wrote it finds the line."""
        (tmp_path / "dividing.py").write_text("1 / 0", encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)

        assert main(["dividing"]) == 2
        assert f'File "{tmp_path / "dividing.py"}", line 1' in capsys.readouterr().err

    def test_ctrl_c_is_no_mistake_of_the_application(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """It ends the command."""
        (tmp_path / "interrupted.py").write_text("raise KeyboardInterrupt", encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)

        with pytest.raises(KeyboardInterrupt):
            main(["interrupted"])

    def test_a_report_ends_with_0(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Also if there is nothing to tell."""
        (tmp_path / "quiet.py").write_text("from typedbus.wspbus import Bus\nbus = Bus()\n", encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)

        assert main(["quiet:bus"]) == 0
        assert capsys.readouterr().out == "no channels used by name\n"

    def test_a_refusal_can_be_sent_to_another_process(self) -> None:
        """As exceptions can."""
        assert str(pickle.loads(pickle.dumps(CannotReport("shop", "no")))) == "cannot report on shop: no"

    def test_without_a_module_it_ends_with_2(self, capsys: pytest.CaptureFixture[str]) -> None:
        """And says how it is used."""
        with pytest.raises(SystemExit) as ended:
            main([])

        assert ended.value.code == 2
        assert "MODULE[:BUS]" in capsys.readouterr().err
