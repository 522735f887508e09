"""A hosted bus in a process whose threads are greenlets: of gevent, as under `gunicorn -k gevent`, or of eventlet."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SITE = """
import faulthandler
faulthandler.dump_traceback_later(40, exit=True)
import threading, time
from wsgiref.util import setup_testing_defaults
from typedbus import *
from typedbus.hosting.wsgi import Hosted

notes = []

class Ticking:
    def __init__(self, bus: Bus): self.ticks = threading.Event()
    def start(self):
        time.sleep(0.01)
        notes.append("start")
    def main(self): self.ticks.set()
    def stop(self): notes.append("stop")
    def exit(self): notes.append("exit")

class Other:
    def start(self): time.sleep(0.01)
    def stop(self): time.sleep(0.01)

class Shop(Container):
    bus = Component(Bus)
    ticking = Component(Ticking, bus.provided)
    one = Component(Other)
    two = Component(Other)

def page(environ, start_response):
    start_response("200 OK", [])
    return [b"ok"]

def get(application):
    environ, statuses = {}, []
    setup_testing_defaults(environ)
    errors = environ["wsgi.errors"]
    b"".join(application(environ, lambda status, headers, error=None: statuses.append(status)))
    notes.append(statuses[0])

def serve(shop, **options):
    # The greenlets of the requests, and one beside them that must get its turn.
    applications = [Hosted(page, shop, **options) for _ in range(3)]
    requests = [threading.Thread(target=get, args=[application]) for application in applications * 2]
    beside = threading.Thread(target=notes.append, args=["beside"])
    for thread in [*requests, beside]:
        thread.start()
    for thread in [*requests, beside]:
        thread.join()
    shop.ticking().ticks.wait()
    for application in applications:
        application.exit()
    print(sorted(set(notes)), notes.count("start"), notes.count("200 OK"))
"""

PATCHES = {
    "gevent": "from gevent import monkey; monkey.patch_all()",
    "eventlet": "import eventlet; eventlet.monkey_patch()",
}
SERVED = "['200 OK', 'beside', 'exit', 'start', 'stop'] 1 6"


def output_of(folder: Path, library: str, program: str) -> list[str]:
    """Run *program*, in which PATCH stands for the patch of *library*, and return the lines that it prints."""
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    (folder / "site_of_test.py").write_text(SITE, encoding="utf-8")
    text = textwrap.dedent(program).replace("PATCH", PATCHES[library])
    process = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", text],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout.splitlines()


libraries = pytest.mark.parametrize("library", ["gevent", "eventlet"])
options = pytest.mark.parametrize("options", ["", ", workers=2, limits=Limits(hook=30)"], ids=["plain", "side by side"])


@libraries
@options
def test_requests_are_answered_if_the_threads_were_replaced_first(tmp_path: Path, library: str, options: str) -> None:
    """The program replaces them in its first line."""
    program = f"""
        PATCH
        from site_of_test import *
        serve(Shop(){options})
    """

    assert output_of(tmp_path, library, program) == [SERVED]


@libraries
@options
def test_requests_are_answered_if_the_threads_were_replaced_after_the_import(
    tmp_path: Path, library: str, options: str
) -> None:
    """A worker of gunicorn does that if its master has read a configuration with the hooks of typedbus."""
    program = f"""
        import queue, typedbus.hosting.wsgi, typedbus.hosting.gunicorn
        from site_of_test import *
        PATCH
        serve(Shop(){options})
    """

    assert output_of(tmp_path, library, program) == [SERVED]


@libraries
def test_requests_are_answered_if_the_threads_were_replaced_after_the_bus_was_created(
    tmp_path: Path, library: str
) -> None:
    """gunicorn with --preload does that."""
    program = """
        from site_of_test import *
        shop = Shop()
        shop.attach()
        PATCH
        serve(shop)
    """

    assert output_of(tmp_path, library, program) == [SERVED]


def test_requests_are_answered_if_gevent_replaced_the_queues_and_left_the_threads(tmp_path: Path) -> None:
    """The queues of gevent do not wake threads."""
    program = """
        from gevent import monkey
        monkey.patch_all(thread=False)
        from site_of_test import *
        serve(Shop())
    """

    assert output_of(tmp_path, "gevent", program) == [SERVED]


@libraries
def test_the_bus_exits_at_the_end_of_the_interpreter(tmp_path: Path, library: str) -> None:
    """The program does not request the exit."""
    program = """
        import atexit
        from site_of_test import *
        PATCH
        atexit.register(lambda: print(notes, flush=True))
        get(Hosted(page, Shop()))
    """

    assert output_of(tmp_path, library, program) == ["['start', '200 OK', 'stop', 'exit']"]


@libraries
def test_a_hook_that_waits_too_long_is_given_up(tmp_path: Path, library: str) -> None:
    """This holds for waits by functions that the library has replaced."""
    program = """
        PATCH
        from site_of_test import *

        class Slow:
            def start(self): time.sleep(50)

        class Site(Container):
            bus = Component(Bus)
            slow = Component(Slow)

        try:
            Hosted(page, Site, limits=Limits(hook=0.05)).start()
        except TransitionFailures as failures:
            print([type(failure).__name__ for failure in failures.exceptions])
    """

    assert output_of(tmp_path, library, program) == ["['HookTimeout']"]


@libraries
@pytest.mark.parametrize("order", ["replaced first", "replaced after the import"])
def test_async_hooks_run_on_a_loop_in_a_greenlet(tmp_path: Path, library: str, order: str) -> None:
    """They have limits as in a thread, and sync hooks and requests beside them get their turns."""
    program = f"""
        {"PATCH" if order == "replaced first" else ""}
        import typedbus.hosting.wsgi, typedbus.hosting.gunicorn
        from site_of_test import *
        PATCH
        import asyncio

        class Feed:
            def __init__(self, ticking: Ticking): ...
            async def start(self):
                self.queue = asyncio.Queue()
                self.task = asyncio.create_task(self.fill())
                notes.append("async start")
            async def stop(self):
                await self.task
                notes.append("async stop")
            async def exit(self): notes.append("async exit")
            async def fill(self): await self.queue.put("ok")

        class Site(Shop):
            feed = Component(Feed, Shop.ticking.provided)

        site = Site()

        def page(environ, start_response):
            start_response("200 OK", [])
            return [site.bus().run_on_loop(site.feed().queue.get()).result().encode()]

        application = Hosted(page, site, limits=Limits(hook=30))
        get(application)
        application.exit()
        print(notes)
    """

    life = ["start", "async start", "200 OK", "async stop", "stop", "async exit", "exit"]
    assert output_of(tmp_path, library, program) == [str(life)]
