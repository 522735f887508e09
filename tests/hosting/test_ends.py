"""The ends of an interpreter at which a hosted bus exits: workers of multiprocessing, sub-interpreters, mod_wsgi."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SITE = """
import os, sys
from wsgiref.util import setup_testing_defaults
from typedbus import *
from typedbus.hosting.wsgi import Hosted

def say(text):
    os.write(1, f"{text}\\n".encode())

class Stock:
    def start(self): say("start")
    def stop(self): say("stop")
    def exit(self): say("exit")

class Shop(Container):
    bus = Component(Bus)
    stock = Component(Stock)

application = Hosted(lambda environ, start_response: [b"mugs"], Shop, **OPTIONS)

def get(*ignored):
    environ = {}
    setup_testing_defaults(environ)
    return b"".join(application(environ, lambda status, headers, error=None: None)).decode()
"""


def lines_of(folder: Path, program: str, options: str = "{}") -> list[str]:
    """Run *program*, which has the site around it, and return the lines on its standard output."""
    (folder / "site_of_test.py").write_text(SITE.replace("OPTIONS", options), encoding="utf-8")
    file = folder / "program.py"
    file.write_text("from site_of_test import *\n" + textwrap.dedent(program), encoding="utf-8")
    process = subprocess.run([sys.executable, str(file)], capture_output=True, text=True, timeout=120, check=False)
    assert process.stderr == ""
    return process.stdout.splitlines()


METHODS = ["spawn"] if sys.platform == "win32" else ["fork", "spawn", "forkserver"]


@pytest.mark.parametrize(
    "options",
    ["{}", pytest.param("{'workers': 2, 'limits': Limits(hook=60)}", marks=pytest.mark.exhaustive)],
    ids=["plain", "threads"],
)
@pytest.mark.parametrize("method", METHODS)
def test_a_child_of_multiprocessing_stops_and_exits_its_bus(tmp_path: Path, method: str, options: str) -> None:
    """Its interpreter ends without the functions of `atexit`; components find threads and their queues usable."""
    program = f"""
        import multiprocessing

        if __name__ == "__main__":
            child = multiprocessing.get_context({method!r}).Process(target=get)
            child.start()
            child.join()
            say(f"the child has exited with {{child.exitcode}}")
    """

    assert lines_of(tmp_path, program, options) == ["start", "stop", "exit", "the child has exited with 0"]


@pytest.mark.parametrize("ending", ["sys.exit(3)", "raise OSError"])
def test_a_child_of_multiprocessing_that_leaves_by_an_exception_exits_its_bus(tmp_path: Path, ending: str) -> None:
    """The status of the child is that of the exception."""
    program = f"""
        import multiprocessing

        def work():
            get()
            sys.stderr = open(os.devnull, "w")
            {ending}

        if __name__ == "__main__":
            child = multiprocessing.Process(target=work)
            child.start()
            child.join()
            say(f"the child has exited with {{child.exitcode}}")
    """
    status = 3 if "exit" in ending else 1

    assert lines_of(tmp_path, program) == ["start", "stop", "exit", f"the child has exited with {status}"]


@pytest.mark.parametrize("method", METHODS)
def test_the_workers_of_a_process_pool_exit_their_buses(tmp_path: Path, method: str) -> None:
    """A pool of `concurrent.futures` ends its workers by a return from their function."""
    program = f"""
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor

        if __name__ == "__main__":
            with ProcessPoolExecutor(1, multiprocessing.get_context({method!r})) as pool:
                say(pool.submit(get).result())
            say("the pool is shut down")
    """

    assert lines_of(tmp_path, program) == ["start", "mugs", "stop", "exit", "the pool is shut down"]


def test_the_workers_of_a_multiprocessing_pool_exit_their_buses_when_it_is_closed(tmp_path: Path) -> None:
    """They exit at `close` and `join`; `terminate` kills them."""
    program = """
        import multiprocessing

        if __name__ == "__main__":
            pool = multiprocessing.Pool(1)
            say(pool.apply(get))
            pool.close()
            pool.join()
            say("the pool is shut down")
    """

    assert lines_of(tmp_path, program) == ["start", "mugs", "stop", "exit", "the pool is shut down"]


def test_a_bus_of_a_child_exits_before_the_children_of_the_child_are_ended(tmp_path: Path) -> None:
    """`multiprocessing` terminates daemon children, which a component may still need."""
    program = """
        import multiprocessing

        def wait_for_ever(end):
            end.recv()

        class Helper:
            def start(self):
                self.here, there = multiprocessing.Pipe()
                self.process = multiprocessing.Process(target=wait_for_ever, args=[there], daemon=True)
                self.process.start()
            def stop(self):
                say(f"the helper is alive: {self.process.is_alive()}")
                self.here.send(None)
                self.process.join()

        class Site(Shop):
            helper = Component(Helper)

        def work():
            Hosted(lambda environ, start_response: [], Site).start()

        if __name__ == "__main__":
            child = multiprocessing.Process(target=work)
            child.start()
            child.join()
    """

    assert lines_of(tmp_path, program) == ["start", "the helper is alive: True", "stop", "exit"]


@pytest.mark.skipif(sys.platform == "win32", reason="a signal is sent")
def test_a_child_that_turns_sigterm_into_an_exit_exits_its_bus(tmp_path: Path) -> None:
    """The default action of SIGTERM would end it without calling anything."""
    program = """
        import multiprocessing, signal, threading

        def work(started):
            signal.signal(signal.SIGTERM, lambda *ignored: sys.exit(0))
            get()
            started.set()
            threading.Event().wait()

        if __name__ == "__main__":
            started = multiprocessing.Event()
            child = multiprocessing.Process(target=work, args=[started])
            child.start()
            started.wait()
            child.terminate()
            child.join()
            say(f"the child has exited with {child.exitcode}")
    """

    assert lines_of(tmp_path, program) == ["start", "stop", "exit", "the child has exited with 0"]


def test_an_exit_before_the_end_is_not_repeated_at_the_end(tmp_path: Path) -> None:
    """A bus that is started again after it exits at the end as well."""
    program = """
        import multiprocessing

        def work():
            application.start()
            application.exit()
            application.start()

        if __name__ == "__main__":
            child = multiprocessing.Process(target=work)
            child.start()
            child.join()
    """

    assert lines_of(tmp_path, program) == ["start", "stop", "exit"] * 2


@pytest.mark.parametrize("cancelled_in", ["request", "exit", "start"])
def test_the_end_of_a_program_waits_until_a_failure_is_reported(tmp_path: Path, cancelled_in: str) -> None:
    """The server has cancelled the lifespan, and the thread that reports the failure is a daemon thread."""
    program = f"""
        import asyncio, threading
        from typedbus import *
        from typedbus.hosting.asgi import Hosted

        is_called, may_fail, is_reporting = threading.Event(), threading.Event(), threading.Event()

        class Late(OSError):
            def __str__(self):
                is_reporting.set()
                threading.Event().wait(0.3)
                return "no stock"

        class Stock:
            def fail(self):
                is_called.set()
                may_fail.wait()
                raise Late

            if {cancelled_in!r} == "start":
                start = fail
            else:
                stop = fail

        class Shop(Container):
            bus = Component(Bus)
            stock = Component(Stock)

        async def application(scope, receive, send):
            await send({{"type": "lifespan.startup.complete"}})
            if {cancelled_in!r} == "exit":
                await send({{"type": "lifespan.shutdown.complete"}})
            await asyncio.Event().wait()

        async def main():
            is_up = asyncio.Event()

            async def receive():
                return {{"type": "lifespan.startup"}}

            async def send(message):
                is_up.set()

            lifespan = asyncio.create_task(Hosted(application, Shop)({{"type": "lifespan"}}, receive, send))
            await (is_up.wait() if {cancelled_in!r} == "request" else asyncio.to_thread(is_called.wait))
            lifespan.cancel()
            await asyncio.wait([lifespan])

        asyncio.run(main())
        may_fail.set()
        is_reporting.wait()
    """
    file = tmp_path / "program.py"
    file.write_text(textwrap.dedent(program), encoding="utf-8")
    process = subprocess.run([sys.executable, str(file)], capture_output=True, text=True, timeout=120, check=False)
    assert process.stderr.count("Late: no stock") == 1, process.stderr


def test_the_end_of_a_process_of_mod_wsgi_exits_the_bus(tmp_path: Path) -> None:
    """Apache provides the module `mod_wsgi`; its functions are called before those of `atexit`, which may not be called."""
    program = """
        import types

        subscribed = []
        sys.modules["mod_wsgi"] = types.SimpleNamespace(subscribe_shutdown=subscribed.append)
        get()
        application.exit()
        application.start()
        say(f"{len(subscribed)} function")
        subscribed[0]("process_stopping", shutdown_reason="")
        say("mod_wsgi ends the interpreter")
        os._exit(0)
    """

    assert lines_of(tmp_path, program) == [
        *["start", "stop", "exit", "start"],
        *["1 function", "stop", "exit", "mod_wsgi ends the interpreter"],
    ]


def test_a_daemon_process_of_mod_wsgi_exits_the_bus_after_the_requests_under_way(tmp_path: Path) -> None:
    """mod_wsgi calls the functions before these requests are answered, and lists them in `active_requests`."""
    program = """
        import threading, types

        subscribed, requests = [], {"first": {}}
        sys.modules["mod_wsgi"] = types.SimpleNamespace(
            subscribe_shutdown=subscribed.append, active_requests=requests, process_group="shop"
        )
        get()
        subscribed[0]("process_stopping", shutdown_reason="")
        say(get())
        requests.clear()
        for thread in threading.enumerate():
            if thread.name == "mod_wsgi ends this process":
                thread.join()
        say("mod_wsgi ends the interpreter")
        os._exit(0)
    """

    assert lines_of(tmp_path, program) == ["start", "mugs", "stop", "exit", "mod_wsgi ends the interpreter"]


def lines_of_interpreter(folder: Path, program: str, *, isolated: bool) -> list[str]:
    """Run *program*, with the site around it, in a sub-interpreter, and return the lines on its standard output."""
    (folder / "site_of_test.py").write_text(SITE.replace("OPTIONS", "{}"), encoding="utf-8")
    inner = f"import sys\nsys.path.insert(0, {str(folder)!r})\nfrom site_of_test import *\n" + textwrap.dedent(program)
    outer = f"""
        import _xxsubinterpreters, os

        _xxsubinterpreters.run_string(_xxsubinterpreters.create(isolated={isolated}), {inner!r})
        os._exit(0)
    """
    process = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(outer)], capture_output=True, text=True, timeout=120, check=False
    )
    assert process.stderr == ""
    return process.stdout.splitlines()


needs_interpreters = pytest.mark.skipif(
    sys.version_info >= (3, 12), reason="dependency-injector cannot be imported in an interpreter with a GIL of its own"
)


def test_the_end_of_a_program_ends_its_runs(tmp_path: Path) -> None:
    """The interpreter does not wait for their threads before it exits the bus."""
    program = """
        import threading
        from typedbus.plugins.monitor import BackgroundTask

        begun = threading.Semaphore(0)  # a run that the end comes before does not begin

        class Feed:
            @on(RUN)
            def follow(self, stopping):
                begun.release()
                stopping.wait()
                say("the feed ends")

        def work(stopping):
            begun.release()
            stopping.wait()
            say("the task ends")

        class Site(Container):
            bus = Component(Bus)
            feed = Component(Feed)
            task = Component(BackgroundTask, bus.provided, work)

        environ = {}
        setup_testing_defaults(environ)
        Hosted(lambda environ, start_response: [b"mugs"], Site)(environ, lambda status, headers, error=None: None)
        begun.acquire()
        begun.acquire()
    """

    assert lines_of(tmp_path, program) == ["the feed ends", "the task ends"]


@needs_interpreters
def test_a_sub_interpreter_warns_that_its_end_may_skip_the_exit(tmp_path: Path) -> None:
    """A sub-interpreter of mod_wsgi does not warn, since mod_wsgi reports the end of the process."""
    program = """
        import types

        shop = Shop()
        shop.attach()[LOG].subscribe(lambda message, level: say((level, message[:53])))
        application = Hosted(lambda environ, start_response: [b"mugs"], shop)
        application.start()
        application.exit()
        sys.modules["mod_wsgi"] = types.SimpleNamespace(subscribe_shutdown=lambda function: None)
        application.start()
        application.exit()
    """

    assert lines_of_interpreter(tmp_path, program, isolated=False) == [
        *["start", "(30, 'Shop: this is a sub-interpreter, whose exit functions')", "stop", "exit"],
        *["start", "stop", "exit"],
    ]


@needs_interpreters
def test_a_start_that_cannot_start_a_thread_fails_and_is_undone(tmp_path: Path) -> None:
    """The interpreter of this test starts no threads, like a process that has reached its limit."""
    program = """
        for attempt in range(2):
            try:
                application.start()
            except RuntimeError as error:
                say(type(error).__name__)
        application.exit()
    """

    assert lines_of_interpreter(tmp_path, program, isolated=True) == ["start", "stop", "exit", "RuntimeError"] * 2
