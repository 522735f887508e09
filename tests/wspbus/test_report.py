"""The report on the channels of a bus that are used by name."""

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
    """An order."""

    number: int


def mail(order: Order) -> str:
    """Return a text."""
    return f"mail for {order.number}"


def line_of(text: str) -> str:
    """Return the place of the line of this file that ends in the comment *text*."""
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    return f"{__file__}:{next(at for at, line in enumerate(lines, 1) if line.endswith(f'  # {text}'))}"


def only(bus: Bus, *sources: ModuleType) -> ReportedChannel:
    """Return the only channel of the report on *bus*."""
    (channel,) = report(bus, sources).channels
    return channel


def declaration_lines(*listeners: Callable[..., Any], name: Any = "order-placed") -> list[str]:
    """Return the lines of the declaration of a channel with *listeners*."""
    bus = Bus()
    for listener in listeners:
        bus.subscribe(name, listener)
    return only(bus).declaration.splitlines()


def declaration_of_call(*args: object, **kwargs: object) -> list[str]:
    """Return the lines of the declaration, without comments, of a channel with one publish and no listener."""
    bus = Bus()
    watch(bus)
    bus.publish("order", *args, **kwargs)
    return [line for line in only(bus).declaration.splitlines() if not line.startswith("#")]


class TestListeners:
    """The listeners of a channel."""

    def test_a_new_bus_has_no_channels_used_by_name(self) -> None:
        """Its own channels are typed."""
        assert report(Bus()).text() == str(report(Bus())) == "no channels used by name"

    def test_a_listener_has_the_places_of_its_subscription_and_its_definition(self) -> None:
        """With its name, its priority and its signature."""
        bus = Bus()
        bus.subscribe("order-placed", mail, 20)  # by call
        (listener,) = only(bus).listeners

        assert listener.subscribed == line_of("by call")
        assert listener.name == f"{__name__}.mail"
        assert listener.place.startswith(f"{__file__}:")
        assert listener.priority == 20
        assert listener.signature == f"(order: {__name__}.Order) -> str"

    def test_a_subscription_by_decorator_has_the_place_of_the_decorator(self) -> None:
        """Not a place inside the package."""
        bus = Bus()
        bus.subscribe("order-placed")(mail)  # by decorator

        assert only(bus).listeners[0].subscribed == line_of("by decorator")

    def test_a_subscription_by_a_plugin_has_the_place_that_subscribed_the_plugin(self) -> None:
        """The plugin itself calls `subscribe` inside the package."""
        bus = Bus()

        class Plugin(SimplePlugin):
            def graceful(self) -> None: ...

        Plugin(bus).subscribe()  # by plugin

        assert only(bus).name == "graceful"
        assert only(bus).listeners[0].subscribed == line_of("by plugin")

    def test_a_subscription_through_the_mapping_has_the_place_of_the_call(self) -> None:
        """The mapping has names as well."""
        bus = Bus()
        bus.listeners.setdefault("order-placed", set()).add(mail)  # by set

        assert only(bus).listeners[0].subscribed == line_of("by set")

    def test_an_ended_subscription_is_not_reported(self) -> None:
        """The name stays, without listeners."""
        bus = Bus()
        bus.subscribe("order-placed", mail)
        bus.unsubscribe("order-placed", mail)

        assert only(bus).listeners == ()
        assert "  no listeners" in report(bus).text().splitlines()

    def test_listeners_of_typed_code_are_reported_with_those_by_name(self) -> None:
        """In running order."""
        bus = Bus()
        bus[invoiced].subscribe(lambda order: None, priority=70)
        bus.subscribe("invoiced", mail)

        assert [listener.subscribed is None for listener in only(bus).listeners] == [False, True]
        assert only(bus).is_typed

    def test_a_channel_that_only_typed_code_uses_is_not_reported(self) -> None:
        """Also if it is given to `subscribe` and `publish` of the old bus as a channel."""
        bus = Bus()
        watch(bus)
        bus[invoiced].subscribe(lambda order: None)
        bus.subscribe(invoiced, mail)
        bus.publish(invoiced, Order(7))

        assert report(bus).channels == ()


class TestPublishers:
    """The places that publish."""

    def test_a_watched_bus_reports_each_publishing_place_once(self) -> None:
        """Also if it publishes several times."""
        bus = Bus()
        watch(bus)
        watch(bus)
        for number in range(3):
            bus.publish("order-placed", number, urgent=True)  # by publish

        assert only(bus).publishers == (ReportedPublisher(line_of("by publish"), 1, ("urgent",), is_read=False),)

    def test_a_publish_on_a_watched_bus_returns_the_results(self) -> None:
        """The listeners are called."""
        bus = Bus()
        bus.subscribe("order-placed", mail)
        watch(bus)

        assert bus.publish("order-placed", Order(7)) == ["mail for 7"]

    def test_publishes_of_the_bus_itself_are_not_reported(self) -> None:
        """`graceful` publishes its channel by name."""
        bus = Bus()
        watch(bus)
        bus.graceful()

        assert report(bus).channels == ()

    def test_a_publish_by_the_name_of_a_typed_channel_is_reported(self) -> None:
        """Also if all listeners are typed."""
        bus = Bus()
        watch(bus)
        bus[invoiced].subscribe(lambda order: None)
        bus.publish("invoiced", Order(7))

        assert only(bus).declaration == f"from {__name__} import invoiced"

    def test_literal_names_are_found_in_the_source(self, tmp_path: Path) -> None:
        """With the place and the arguments of the call; modules without source are skipped."""
        file = tmp_path / "old.py"
        file.write_text(
            "def f(bus, name):\n    bus.publish('order', 1, a=2)\n    bus.publish(name)\n    bus.log('x')\n"
        )
        module, broken, built_in = ModuleType("old"), ModuleType("broken"), ModuleType("built_in")
        module.__file__ = str(file)
        (tmp_path / "broken.py").write_text("def")
        broken.__file__ = str(tmp_path / "broken.py")

        channel = only(Bus(), module, broken, built_in)

        assert channel.name == "order"
        assert channel.publishers == (ReportedPublisher(f"{file}:2", 1, ("a",), is_read=True),)
        assert f"  published in the source at {file}:2" in report(Bus(), [module]).text().splitlines()


STARTING = """
from typedbus.wspbus import Bus
from typedbus.wspbus.plugins import SimplePlugin

bus = Bus()

def listener(text: str) -> None: ...

class Base(SimplePlugin):
    def send(self, message: str, binary: bool = False) -> None: ...

class WebSockets(Base):
    def start(self):
        self.bus.subscribe("broadcast", self.send)
        self.bus.subscribe("plain", listener)
        self.bus.subscribe("unknown", self.missing)

WebSockets(bus).subscribe()

def hello():
    bus.publish("broadcast", "hello", binary=True)
"""


class TestListenersInTheSource:
    """Subscriptions in functions, such as the start of a plugin."""

    @pytest.fixture
    def module(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
        """Return a module with a plugin that has not been started."""
        (tmp_path / "starting.py").write_text(STARTING, encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)
        yield importlib.import_module("starting")
        del sys.modules["starting"]

    def test_listeners_are_found_with_their_parameters(self, module: ModuleType) -> None:
        """Methods of the class, inherited ones included, and functions of the module."""
        channels = {channel.name: channel for channel in report(module.bus, [module]).channels}
        (listener,) = channels["broadcast"].listeners

        assert listener.name == "starting.Base.send"
        assert (listener.signature, listener.is_read) == ("(message: str, binary: bool = False) -> None", True)
        assert listener.subscribed == f"{module.__file__}:14"
        assert channels["broadcast"].declaration == (
            "@Channel.declare\ndef broadcast(message: str, /, *, binary: bool = False) -> None: ..."
        )
        assert channels["plain"].declaration == 'plain = Channel[[str], None]("plain")'
        assert "subscribed in the source at" in report(module.bus, [module]).text()

    def test_an_unknown_listener_is_named_by_its_source(self, module: ModuleType) -> None:
        """Its parameters are not known."""
        channels = {channel.name: channel for channel in report(module.bus, [module]).channels}
        (listener,) = channels["unknown"].listeners

        assert (listener.name, listener.signature) == ("self.missing", "(...)")

    def test_a_listener_that_is_subscribed_is_reported_once(self, module: ModuleType) -> None:
        """As subscribed, at the same line."""
        module.WebSockets.missing = lambda self: None
        module.bus.start()
        try:
            channels = {channel.name: channel for channel in report(module.bus, [module]).channels}
        finally:
            module.bus.exit()
        (listener,) = channels["broadcast"].listeners

        assert (listener.subscribed, listener.is_read) == (f"{module.__file__}:14", False)


class TestDeclaration:
    """The typed declaration of a channel."""

    def test_annotations_give_the_types_and_their_imports(self) -> None:
        """Of parameters and of the result."""
        assert declaration_lines(mail) == [
            f"from {__name__} import Order",
            'order_placed = Channel[[Order], str]("order-placed")',
        ]

    def test_types_inside_types_are_imported(self) -> None:
        """They are written without their module."""

        def listener(orders: dict[str, list[Order]], path: Path | None) -> None: ...

        assert declaration_lines(listener) == [
            "from pathlib import Path",
            f"from {__name__} import Order",
            'order_placed = Channel[[dict[str, list[Order]], Path | None], None]("order-placed")',
        ]

    def test_special_forms_are_written_with_their_module(self) -> None:
        """They are not classes that can be imported by name."""

        def listener(kind: Literal["a", "b"], state: State) -> None: ...

        assert declaration_lines(listener, name="order") == [
            "from typedbus import State",
            "import typing",
            "order = Channel[[typing.Literal['a', 'b'], State], None](\"order\")",
        ]

    def test_the_annotation_of_one_listener_applies_to_listeners_without_one(self) -> None:
        """Old code is annotated only in part."""
        assert declaration_lines(mail, lambda order: "")[-1] == 'order_placed = Channel[[Order], str]("order-placed")'

    def test_a_parameter_without_an_annotation_is_object_with_a_comment(self) -> None:
        """Not Any, whose uses checkers do not report."""
        assert declaration_lines(lambda number: None) == [
            "# number: no listener annotates it",
            "# the result: no listener annotates it",
            'order_placed = Channel[[object], object]("order-placed")',
        ]

    def test_different_annotations_of_a_parameter_give_object_with_a_comment(self) -> None:
        """The comment lists them."""

        def by_number(order: int) -> str:
            return ""

        assert declaration_lines(mail, by_number) == [
            f"from {__name__} import Order",
            "# order: listeners have different annotations: Order, int",
            'order_placed = Channel[[object], str]("order-placed")',
        ]

    def test_different_results_give_a_union(self) -> None:
        """The result is any of theirs."""

        def count(order: Order) -> int:
            return 0

        assert declaration_lines(mail, count)[-1] == 'order_placed = Channel[[Order], str | int]("order-placed")'

    def test_an_annotation_that_cannot_be_evaluated_is_kept(self) -> None:
        """Without an import."""
        scope: dict[str, Any] = {}
        exec("def listener(order: Elsewhere) -> None: ...", scope)

        assert declaration_lines(scope["listener"]) == ['order_placed = Channel[[Elsewhere], None]("order-placed")']

    def test_defaults_and_keywords_give_a_function(self) -> None:
        """The name of the channel is an argument if a function cannot have it."""

        def listener(order: int, copies: int = 1, *, urgent: bool) -> None: ...

        assert declaration_lines(listener) == [
            '@Channel.declare(name="order-placed")',
            "def order_placed(order: int, copies: int = 1, /, *, urgent: bool) -> None: ...",
        ]
        assert declaration_lines(listener, name="order")[-1].startswith("def order(")

    def test_a_default_that_cannot_be_written_is_an_ellipsis(self) -> None:
        """Its repr is not code."""
        nothing = object()

        def listener(order: object = nothing) -> None: ...

        assert declaration_lines(listener, name="order")[-1] == "def order(order: object = Ellipsis, /) -> None: ..."

    def test_a_variadic_listener_receives_all_arguments_of_its_publishers(self) -> None:
        """Positional arguments after the fixed ones, and names without a parameter."""
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

    def test_different_defaults_of_a_parameter_stay_with_the_listeners(self) -> None:
        """A typed channel has one default for all of them, so the declaration has a variadic parameter instead."""
        bus = Bus()
        watch(bus)

        def first(order: int, copies: int = 1) -> int:
            return copies

        def second(order: int, copies: int = 2) -> int:
            return copies

        bus.subscribe("order", first)
        bus.subscribe("order", second)
        before = bus.publish("order", 7), bus.publish("order", 7, 3)
        declaration = only(bus).declaration
        assert declaration.splitlines()[-2:] == [
            "def order(order: int, /, *args: object) -> int:",
            "    raise NotImplementedError",
        ]
        names: dict[str, Any] = {"Channel": Channel}
        exec(declaration, names)
        bus[names["order"]]
        assert (bus.publish("order", 7), bus.publish("order", 7, 3)) == before

    @pytest.mark.slow
    @settings(deadline=None, max_examples=200)
    @given(st.data())
    def test_a_declaration_accepts_every_call_that_it_was_derived_from(self, data: st.DataObject) -> None:
        """The listeners return the same results, whatever is optional, variadic, or given by name."""
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

    def test_an_optional_parameter_that_no_publisher_gives_is_left_out(self) -> None:
        """Each listener keeps its default."""
        bus = Bus()
        watch(bus)

        def listener(order: int, copies: int = 1, *, urgent: bool = False) -> None: ...

        bus.subscribe("order", listener)
        bus.publish("order", 1)

        assert only(bus).declaration == 'order = Channel[[int], None]("order")'

    def test_a_parameter_that_publishers_give_by_name_is_not_positional_only(self) -> None:
        """A parameter that is positional alone could not be given by it."""
        bus = Bus()
        watch(bus)

        def listener(order: int, copies: int, paper: str) -> None: ...

        bus.subscribe("order", listener)
        bus.publish("order", 1, copies=2, paper="")

        assert (
            only(bus).declaration.splitlines()[-1]
            == "def order(order: int, /, *, copies: int, paper: str) -> None: ..."
        )

    def test_without_listeners_the_declaration_follows_the_publishers(self) -> None:
        """By the number of their arguments, and their names."""
        assert declaration_of_call() == ['order = Channel[[], object]("order")']
        assert declaration_of_call(1, 2) == ['order = Channel[[object, object], object]("order")']
        assert declaration_of_call(1, b=2) == [
            "@Channel.declare",
            "def order(arg0: object, /, *, b: object) -> object: ...",
        ]

    def test_without_publishers_and_fixed_parameters_any_arguments_are_accepted(self) -> None:
        """Also if the signatures of the listeners are not available."""

        def listener(*args: object) -> None: ...

        assert declaration_lines(listener, name="order") == ['order = Channel[..., None]("order")']
        assert declaration_lines(dict, name="order")[-1] == 'order = Channel[..., object]("order")'

    def test_a_listener_that_accepts_any_arguments_does_not_change_the_declaration(self) -> None:
        """The other listeners determine it."""

        def listener(*args: object) -> str:
            return ""

        assert declaration_lines(listener, mail)[-1] == 'order_placed = Channel[[Order], str]("order-placed")'

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
    def test_the_variable_is_derived_from_the_name(self, name: str, line: str) -> None:
        """The name of the channel stays."""

        def listener() -> None: ...

        assert declaration_lines(listener, name=name) == [line]

    def test_a_name_that_is_not_a_string_gets_a_comment(self) -> None:
        """A typed channel cannot have it."""

        def listener() -> None: ...

        assert declaration_lines(listener, name=("order", 7)) == [
            "# a typed channel needs a string as its name: code that uses this name does not reach it",
            "order_7 = Channel[[], None](\"('order', 7)\")",
        ]

    def test_a_typed_channel_is_imported_from_its_public_module(self) -> None:
        """Not from a private one."""
        bus = Bus()
        bus.subscribe("start", print)

        assert only(bus).declaration == "from typedbus import START"

    def test_a_typed_channel_that_is_not_a_global_gets_a_comment(self) -> None:
        """It cannot be imported."""
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
def listener(order: int) -> None: ...
def place() -> None:
    bus.publish("order", 7)
bus.publish("early", 1)
"""
TEXT = """\
2 channels used by name

order
  50 {module}.listener(order: int) -> None subscribed at {module}.py:5
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
    """Return the status of the command in *folder*, its output and its errors."""
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
def restored() -> Iterator[None]:
    """Undo what the command imports and watches in this process."""
    yield
    sys.modules.pop("quiet", None)
    vars(wspbus.bus).pop("publish", None)


@pytest.mark.usefixtures("restored")
class TestCommand:
    """`python -m typedbus.wspbus.report`."""

    @pytest.mark.slow
    def test_the_command_reports_on_the_shared_bus_and_on_a_bus_of_the_module(self, tmp_path: Path) -> None:
        """Output of the module goes to stderr."""
        (tmp_path / "shop.py").write_text(APPLICATION, encoding="utf-8")

        assert command(tmp_path, "shop") == (0, TEXT.format(module="shop"), "imported\n")
        status, printed, _ = command(tmp_path, "shop:own", "--format", "json")
        data = json.loads(printed)
        assert status == 0
        assert data["format"] == 1
        assert [channel["name"] for channel in data["channels"]] == ["own", "early", "order"]
        assert data["channels"][0]["listeners"][0]["subscribed"] == f"{tmp_path / 'shop.py'}:4"

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
    def test_a_target_that_does_not_lead_to_a_bus_ends_with_2(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        target: str,
        reason: str,
    ) -> None:
        """The last line on stderr has the reason, and stdout is empty."""
        for name, code in [("broken", "1 / 0"), ("lacking", "import not_there"), ("ending", "raise SystemExit(0)")]:
            (tmp_path / f"{name}.py").write_text(code, encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.chdir(tmp_path)

        assert main([target]) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err.splitlines()[-1] == f"cannot report on {target}: {reason.format(folder=tmp_path)}"

    def test_the_traceback_of_the_application_is_printed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """It has the line that failed."""
        (tmp_path / "dividing.py").write_text("1 / 0", encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)

        assert main(["dividing"]) == 2
        assert f'File "{tmp_path / "dividing.py"}", line 1' in capsys.readouterr().err

    def test_ctrl_c_ends_the_command(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is not reported as an error of the application."""
        (tmp_path / "interrupted.py").write_text("raise KeyboardInterrupt", encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)

        with pytest.raises(KeyboardInterrupt):
            main(["interrupted"])

    def test_a_report_ends_with_0(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Also if it is empty."""
        (tmp_path / "quiet.py").write_text("from typedbus.wspbus import Bus\nbus = Bus()\n", encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)

        assert main(["quiet:bus"]) == 0
        assert capsys.readouterr().out == "no channels used by name\n"

    def test_the_error_can_be_pickled(self) -> None:
        """It keeps its text."""
        assert str(pickle.loads(pickle.dumps(CannotReport("shop", "no")))) == "cannot report on shop: no"

    def test_without_a_target_the_command_ends_with_2(self, capsys: pytest.CaptureFixture[str]) -> None:
        """It prints its usage."""
        with pytest.raises(SystemExit) as ended:
            main([])

        assert ended.value.code == 2
        assert "MODULE[:BUS]" in capsys.readouterr().err
