"""The report on the signals of blinker, Django and Celery."""

from __future__ import annotations

import importlib
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from typedbus.porting import SignalReport, report

Write = Callable[..., dict[str, SignalReport]]


@pytest.fixture
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Give a function that writes modules, imports them, and returns the report of each signal by its variable."""
    before = set(sys.modules)

    def write(**sources: str) -> dict[str, SignalReport]:
        for name, source in sources.items():
            (tmp_path / f"{name}.py").write_text(textwrap.dedent(source), encoding="utf-8")
        return {
            each.name: each for each in report([importlib.import_module(name.replace("/", ".")) for name in sources])
        }

    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    yield write
    for name in set(sys.modules) - before:
        if str(tmp_path) in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]


def lines_of(each: SignalReport) -> list[str]:
    """Return the lines of the report on a signal without those of its declaration."""
    return [line for line in str(each).splitlines() if not line.startswith("    ")]


class TestBlinker:
    """Signals of blinker."""

    def test_a_signal_has_its_receivers_and_the_calls_that_send_it(self, reports: Write) -> None:
        """The report has their places, and a declaration with the types of the sent arguments."""
        each = reports(
            shop_orders="""
            from blinker import Namespace
            placed = Namespace().signal("order-placed")

            class Order: ...

            class Desk:
                def place(self, sku: str):
                    placed.send(self, order=Order(), sku=sku, number=2)
            """,
            shop_mail="""
            from shop_orders import placed, Desk

            @placed.connect
            def confirm(desk, order, **extra): ...

            def count(desk, **extra): ...
            placed.connect(count, sender=Desk)
            """,
        )["shop_orders.placed"]

        assert str(each) == textwrap.dedent("""\
            shop_orders.placed, of blinker, at shop_orders.py:3
              shop_mail.confirm(desk, order, **extra) connected at shop_mail.py:4
              shop_mail.count(desk, **extra) connected at shop_mail.py:8 for the sender Desk
              sent at shop_orders.py:9
                from shop_orders import Desk
                from shop_orders import Order
                @Channel.declare
                def placed(sender: Desk, /, *, order: Order, sku: str, number: int) -> None: ...""")

    def test_a_lazy_object_is_not_evaluated(self, reports: Write) -> None:
        """The request of Flask and the settings of Django are such objects."""
        each = reports(
            lazy="""
            from blinker import Signal
            class Lazy:
                __class__ = property(lambda self: 1 / 0)
                def __getattr__(self, name): 1 / 0
            request = Lazy()
            done = Signal()
            def end():
                current = request
                done.send(request, call=request("x"), user=request.user, path=current.path.name)
            """
        )["lazy.done"]

        assert each.declaration == (
            "from lazy import Lazy\n# unknown types: call, user, path\n"
            "@Channel.declare\ndef done(sender: Lazy, /, *, call: object, user: object, path: object) -> None: ..."
        )

    def test_a_call_that_passes_the_signal_to_a_function_is_reported(self, reports: Write) -> None:
        """The function may send or connect the signal."""
        each = reports(
            passes="""
            from blinker import Signal
            read = Signal()
            def parse(signal): signal.send(None, path="x")
            parse(signal=read)
            """
        )["passes.read"]

        assert lines_of(each)[1:] == ["  no receivers", "  passed to a function at passes.py:5"]

    def test_a_signal_with_two_variables_is_named_after_the_first(self, reports: Write) -> None:
        """One assignment may have several targets."""
        (each,) = reports(
            twice="""
            from blinker import Signal
            ready = began = Signal()
            def start():
                began.send(at="noon")
            """
        ).values()

        assert lines_of(each)[0] == "twice.ready, of blinker, at twice.py:3"

    def test_a_signal_is_found_by_its_name_in_the_namespace(self, reports: Write) -> None:
        """`signal("ready")` is the same object wherever it is written."""
        (each,) = reports(
            by_name="""
            from blinker import signal
            def start():
                signal("typedbus-ready").send(at="noon")

            ready = signal("typedbus-ready")
            @ready.connect_via("server")
            def log(sender, at): ...
            """
        ).values()

        assert lines_of(each) == [
            "by_name.ready, of blinker, at by_name.py:6",
            "  by_name.log(sender, at) connected at by_name.py:7 for the sender 'server'",
            "  sent at by_name.py:4",
        ]
        assert each.declaration == "@Channel.declare\ndef ready(sender: None, /, *, at: str) -> None: ..."

    def test_a_receiver_that_is_not_connected_yet_is_found_in_the_source(self, reports: Write) -> None:
        """A function that registers a plugin connects it later."""
        each = reports(
            plug="""
            from blinker import Signal
            done = Signal()
            def later(sender): ...
            def register():
                done.connect(later)
            """
        )["plug.done"]

        assert lines_of(each)[1] == "  later in the source at plug.py:6"
        assert each.receivers[0].defined is not None
        assert not each.receivers[0].is_live

    def test_a_receiver_that_has_been_collected_is_not_connected(self, reports: Write) -> None:
        """The library has only a weak reference to it."""
        each = reports(
            weak="""
            from blinker import Signal
            done = Signal()
            done.connect(lambda sender: None)
            """
        )["weak.done"]

        assert lines_of(each)[1] == "  lambda sender: None in the source at weak.py:4"

    def test_an_object_as_a_receiver_has_the_place_of_its_call_method(self, reports: Write) -> None:
        """It has no place if its class inherits the method."""
        each = reports(
            objects="""
            from django.dispatch import Signal
            done = Signal()
            class Notify:
                def __repr__(self): return self.__class__.__name__.lower()
                def __call__(self, sender, **kwargs): ...
            class Mail(Notify): ...
            notify, mail = Notify(), Mail()
            done.connect(notify)
            done.connect(mail)
            """
        )["objects.done"]

        assert lines_of(each)[1:] == [
            "  notify(sender, **kwargs) connected at objects.py:9",
            "  mail(sender, **kwargs)",
            "  mail in the source at objects.py:10",
        ]

    def test_a_receiver_whose_connecting_call_is_not_found_has_the_place_of_its_definition(
        self, reports: Write
    ) -> None:
        """The signal is the argument of a function there, so the call does not name it."""
        each = reports(
            loop="""
            from blinker import Signal
            done = Signal()
            def log(sender): ...
            def connect(signal):
                signal.connect(log)
            connect(done)
            """
        )["loop.done"]

        assert lines_of(each)[1] == "  loop.log(sender) defined at loop.py:4"

    @pytest.mark.slow
    def test_a_signal_of_a_library_has_no_declaration(self, reports: Write) -> None:
        """The library goes on sending it."""
        each = reports(
            flask_app="""
            from flask import request_started
            @request_started.connect
            def log(app, **extra): ...
            """
        )["flask.signals.request_started"]

        assert each.declaration is None
        assert str(each).splitlines()[-2:] == [
            "  flask_app.log(app, **extra) connected at flask_app.py:3",
            "    # flask sends it",
        ]

    def test_an_async_send_declares_an_async_channel(self, reports: Write) -> None:
        """If the signal is also sent synchronously, a comment reports it."""
        each = reports(
            loops="""
            from blinker import Signal
            moved = Signal()
            async def move():
                await moved.send_async(to="there")
            def jump():
                moved.send(to="here")
            """
        )["loops.moved"]

        assert each.declaration == (
            "# it is sent both with and without an await\n"
            "@AsyncChannel.declare\nasync def moved(sender: None, /, *, to: str) -> None: ..."
        )
        assert each.sends == ((f"{Path.cwd()}/loops.py:5", "send_async"), (f"{Path.cwd()}/loops.py:7", "send"))


class TestDjango:
    """Signals of Django."""

    def test_receivers_have_their_sender(self, reports: Write) -> None:
        """The sender comes from `connect` or from the decorator, which takes several signals."""
        found = reports(
            dj="""
            from django.dispatch import Signal, receiver
            saved = Signal()
            gone = Signal()

            class Order: ...

            @receiver([saved, gone], sender=Order)
            def index(sender, order: "Order", **kwargs): ...

            def log(sender, **kwargs) -> None: ...
            gone.connect(log, dispatch_uid="log")

            def save(cls, order: Order):
                saved.send_robust(sender=order.__class__, order=order)
            """
        )

        assert lines_of(found["dj.saved"]) == [
            "dj.saved, of django, at dj.py:3",
            "  dj.index(sender, order: dj.Order, **kwargs) connected at dj.py:8 for the sender Order",
            "  sent at dj.py:15 by send_robust",
        ]
        assert found["dj.gone"].handovers == ()
        assert [each.connected for each in found["dj.gone"].receivers] == [f"{Path.cwd()}/dj.py:{at}" for at in (8, 12)]
        assert found["dj.saved"].declaration == (
            "from dj import Order\n@Channel.declare\ndef saved(*, sender: type[Order], order: Order) -> None: ..."
        )

    def test_a_signal_that_is_never_sent_takes_its_arguments_from_the_receivers(self, reports: Write) -> None:
        """The argument `signal`, which Django passes as well, is left out."""
        each = reports(
            unsent="""
            from django.dispatch import Signal
            paid = Signal()
            def book(amount: int, sender, signal, **kwargs): ...
            paid.connect(book)
            """
        )["unsent.paid"]

        assert each.declaration == (
            "# no call was found that sends it\n# unknown types: sender\n"
            "@Channel.declare\ndef paid(*, sender: object, amount: int) -> None: ..."
        )

    def test_an_argument_that_a_call_omits_has_a_default(self, reports: Write) -> None:
        """A comment has the place of that call; other arguments are passed on."""
        each = reports(
            omits="""
            from django.dispatch import Signal
            paid = Signal()
            def pay(**extra):
                paid.send(None, amount=1)
                paid.send(None, amount=2.5, note="tip")
                for receiver, receipt in paid.send(None, amount=3, **extra):
                    print(receipt)
            def receipt(sender, **kwargs) -> str: ...
            paid.connect(receipt)
            """
        )["omits.paid"]

        assert each.declaration == (
            "# note: it is not given at omits.py:5\n"
            "@Channel.declare\n"
            "def paid(*, sender: None, amount: int | float, note: str | None = None, **kwargs: object) -> str:\n"
            "    raise NotImplementedError"
        )

    def test_a_signal_is_found_through_self_an_alias_and_an_import_in_a_function(self, reports: Write) -> None:
        """Views use `self`, and models avoid circular imports by imports in functions."""
        found = reports(
            sig="""
            from django.dispatch import Signal
            viewed = Signal()
            class Signals:
                closed = Signal()
            """,
            views="""
            import sig
            from _socket import gethostname
            class View:
                view_signal = sig.viewed
                name: str
                def get(self):
                    host = gethostname()
                    self.view_signal.send(sender=self.__class__, name=self.name, at=str(host))
            def close():
                from sig import Signals as s
                closed = s.closed
                closed.send(sender=None)
            """,
        )

        assert found["sig.viewed"].declaration == (
            "from views import View\n# unknown types: name\n"
            "@Channel.declare\ndef viewed(*, sender: type[View], name: object, at: str) -> None: ..."
        )
        assert lines_of(found["sig.viewed"])[-1] == "  sent at views.py:9"
        assert lines_of(found["sig.Signals.closed"]) == [
            "sig.Signals.closed, of django, at sig.py:5",
            "  no receivers",
            "  sent at views.py:13",
        ]


@pytest.mark.parametrize(
    ("body", "annotation"),
    [
        ("done.send(None, value=1)", "int"),
        ("done.send(None, value=f'{self}')", "str"),
        ("done.send(None, value=len('x'))", "object"),
        ("done.send(None, value=str(1))", "str"),
        ("done.send(None, value=None)", "None"),
        ("done.send(None, value=self)", "Part"),
        ("done.send(None, value=type(self))", "type[Part]"),
        ("done.send(None, value=Part)", "type[Part]"),
        ("done.send(None, value=Part())", "Part"),
        ("done.send(None, value=PART)", "Part"),
        ("done.send(None, value=make())", "list[int]"),
        ("done.send(None, value=number)", "int | None"),
        ("done.send(None, value=late)", "Missing"),
        ("done.send(None, value=anything)", "object"),
        ("local: bytes = make()\n        done.send(None, value=local)", "bytes"),
        ("local = 1\n        done.send(None, value=local)", "int"),
        ("local = 1\n        local = 'x'\n        done.send(None, value=local)", "object"),
        ("PART = unknown()\n        done.send(None, value=PART)", "object"),
        ("done.send(None, value=make)", "object"),
        ("done.send(None, value=self.count)", "object"),
        ("done.send(None, value=self.LIMIT)", "int"),
    ],
)
def test_the_type_of_an_argument_follows_from_the_value_that_is_sent(
    reports: Write, body: str, annotation: str
) -> None:
    """If the source does not show the type, it is object, and the comment lists the argument."""
    each = reports(
        values=f"""
from __future__ import annotations
from typing import Any
from blinker import Signal
done = Signal()
def make() -> list[int]: ...
class Part:
    LIMIT = 3
    count = property(lambda self: 1)
    def run(self, number: int | None, late: Missing, anything: Any):
        {body}
PART = Part()
"""
    )["values.done"]

    assert each.declaration is not None
    assert each.declaration.endswith(f"def done(sender: None, /, *, value: {annotation}) -> None: ...")
    assert ("# unknown types: value" in each.declaration) is (annotation == "object")


def test_a_class_method_and_a_relative_import_lead_to_the_signal(reports: Write, tmp_path: Path) -> None:
    """A relative import inside a function is found as well."""
    (tmp_path / "typedbus_shop").mkdir()
    (tmp_path / "typedbus_shop" / "__init__.py").write_text("", encoding="utf-8")
    (tmp_path / "typedbus_shop" / "signals.py").write_text("from blinker import Signal\ndone = Signal()\n", "utf-8")
    each = reports(
        **{
            "typedbus_shop/views": """
            from typedbus_shop import signals
            class View:
                done = signals.done
                @classmethod
                def close(cls):
                    cls.done.send()
            def end():
                from .signals import done as finished
                finished.send()
            """
        }
    )["typedbus_shop.signals.done"]

    assert [place for place, _ in each.sends] == [f"{tmp_path}/typedbus_shop/views.py:{line}" for line in (7, 10)]


@pytest.mark.slow
def test_a_signal_of_celery_lists_its_arguments(reports: Write) -> None:
    """The declaration has them even if no call is found that sends the signal."""
    each = reports(
        tasks="""
        from celery.utils.dispatch import Signal
        done = Signal(providing_args={"task", "result"})
        @done.connect(sender="tasks.add")
        def log(result: int, **kwargs): ...
        """
    )["tasks.done"]

    assert lines_of(each)[1] == "  tasks.log(result: int, **kwargs) connected at tasks.py:4 for the sender 'tasks.add'"
    assert each.declaration == (
        "# no call was found that sends it\n# unknown types: sender, task\n"
        "@Channel.declare\ndef done(*, sender: object, result: int, task: object) -> None: ..."
    )


def run_command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in *folder*."""
    return subprocess.run(
        [sys.executable, "-m", "typedbus.porting", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
class TestCommand:
    """``python -m typedbus.porting``."""

    def test_it_reports_on_the_modules_that_the_import_loads(self, tmp_path: Path) -> None:
        """The output of the modules goes to stderr."""
        (tmp_path / "sig.py").write_text("from blinker import Signal\ndone = Signal()\n", encoding="utf-8")
        (tmp_path / "app.py").write_text("import sig\nprint('hello')\n", encoding="utf-8")

        ended = run_command(tmp_path, "app")

        assert ended.stdout.startswith("1 signal\n\nsig.done, of blinker, at sig.py:2\n  no receivers\n")
        assert (ended.stderr, ended.returncode) == ("hello\n", 0)

    def test_it_imports_no_library(self, tmp_path: Path) -> None:
        """The libraries of the signals need not be installed."""
        program = "import sys\nprint({'blinker', 'django', 'celery'} & set(sys.modules))\n"
        (tmp_path / "app.py").write_text(program, encoding="utf-8")
        ended = run_command(tmp_path, "app")

        assert (ended.stdout, ended.stderr) == ("no signals\n", "set()\n")

    @pytest.mark.parametrize("name", ["app.py", "shop/app", "app:bus"])
    def test_an_argument_that_is_not_the_name_of_a_module_is_an_error(self, tmp_path: Path, name: str) -> None:
        """The command imports nothing then."""
        (tmp_path / "app.py").write_text("print('imported')", encoding="utf-8")

        ended = run_command(tmp_path, name)

        assert ended.stderr == f"cannot report on {name}: give the name of a module, without .py, as in shop.signals\n"
        assert ended.returncode == 2

    def test_a_module_that_does_not_exist_is_an_error(self, tmp_path: Path) -> None:
        """The command exits with status 2."""
        ended = run_command(tmp_path, "app", "absent")

        assert "No module named 'app'" in ended.stderr
        assert (ended.stdout, ended.returncode) == ("", 2)
