"""Containers with thousands of components, each in a process of its own; the benchmarks measure them."""

import subprocess
import sys
import textwrap

import pytest

#: Several times the depth at which Python refuses to recurse.
COUNT = 3_000

#: The beginning of each program: a component that records its hooks, and a chain of such components.
HEAD = f"COUNT = {COUNT}\n" + textwrap.dedent("""
    import gc, sys, threading, weakref
    from typedbus import Bus, Component, Container, InvalidContainer, TransitionFailures, running

    turns = {"start": [], "stop": [], "exit": []}

    class Link:
        def __init__(self, number, *needed):
            self.number = number
            self.needed = needed
        def start(self): turns["start"].append(self.number)
        def stop(self): turns["stop"].append(self.number)
        def exit(self): turns["exit"].append(self.number)

    def chain(backwards=False, first=Link, last=Link):
        links = {"c0": Component(first, 0)}
        for number in range(1, COUNT):
            cls = last if number == COUNT - 1 else Link
            links[f"c{number}"] = Component(cls, number, links[f"c{number - 1}"].provided)
        members = reversed(links.items()) if backwards else links.items()
        return type("Chain", (Container,), {"bus": Component(Bus), **dict(members)})
""")

#: Starts a chain again after a stop and after an exit, and then drops it.
WHOLE_LIFE = HEAD + textwrap.dedent("""
    up, down = list(range(COUNT)), list(range(COUNT))[::-1]

    def live(backwards):
        declared = chain(backwards)
        shop = declared()
        shop.validate()
        bus = shop.attach()
        bus.start()
        bus.stop()
        assert turns == {"start": up, "stop": down, "exit": []}
        bus.start()
        built = weakref.ref(getattr(shop, f"c{COUNT - 1}")())
        bus.exit()
        assert turns == {"start": up * 2, "stop": down * 2, "exit": down}
        bus.start()
        gc.collect()
        assert built() is None
        bus.exit()
        assert turns == {"start": up * 3, "stop": down * 3, "exit": down * 2}
        kept = weakref.ref(shop), weakref.ref(declared), weakref.ref(getattr(shop, f"c{COUNT - 1}")())
        del shop, bus, declared
        gc.collect()
        assert [one() for one in kept] == [None] * 3
        print("lived")

    backwards, stack = int(sys.argv[1]), int(sys.argv[2])
    if stack:
        threading.stack_size(stack)
        thread = threading.Thread(target=live, args=[backwards])
        thread.start()
        thread.join()
    else:
        live(backwards)
""")

#: Whether the interpreter itself can free such a chain of plain objects on so small a stack.
PLAIN = textwrap.dedent("""
    import sys, threading
    class Link:
        def __init__(self, *needed): self.needed = needed
    def live():
        link = Link()
        for _ in range(int(sys.argv[2])):
            link = Link(link)
    threading.stack_size(int(sys.argv[1]))
    thread = threading.Thread(target=live)
    thread.start()
    thread.join()
""")


def run(program: str, *arguments: int) -> str:
    """Run *program* in a new interpreter, which must exit with status 0, and return its output."""
    process = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert (process.returncode, process.stderr) == (0, "")
    return process.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "backwards",
    [
        pytest.param(0, id="dependencies first"),
        pytest.param(1, id="dependencies last", marks=pytest.mark.exhaustive),
    ],
)
def test_a_chain_of_thousands_runs_twice_and_is_freed(backwards: int) -> None:
    """It is validated, started, stopped, exited, built again and freed, in both orders of declaration."""
    assert run(WHOLE_LIFE, backwards, 0) == "lived\n"


@pytest.mark.slow
def test_a_chain_of_thousands_runs_in_a_thread_with_a_small_stack() -> None:
    """256 KB suffice, if the interpreter can free a chain of as many plain objects there."""
    small = 256 * 1024
    plain = subprocess.run([sys.executable, "-c", PLAIN, str(small), str(COUNT)], capture_output=True, check=False)
    if plain.returncode != 0:
        pytest.skip(f"this Python exits with {plain.returncode} when it frees a chain of plain objects")

    assert run(WHOLE_LIFE, 0, small) == "lived\n"


@pytest.mark.slow
def test_the_interpreter_ends_without_a_crash_while_a_chain_of_thousands_runs() -> None:
    """It frees the chain without an error message."""
    program = """
        bus = chain()().attach()
        bus.start()
        print(len(turns["start"]))
    """

    assert run(HEAD + textwrap.dedent(program)) == f"{COUNT}\n"


@pytest.mark.slow
def test_a_start_that_fails_at_the_end_of_a_chain_of_thousands_is_rolled_back() -> None:
    """Every started component is stopped, in reverse order, and one failure is reported."""
    program = """
        class Broken(Link):
            def start(self): raise OSError("no")
        bus = chain(last=Broken)().attach()
        try:
            bus.start()
        except TransitionFailures as failed:
            print([failure.name for failure in failed.failures], bus.state.name)
        print(turns["stop"] == list(range(COUNT - 1))[::-1] and turns["stop"][::-1] == turns["start"])
    """

    assert run(HEAD + textwrap.dedent(program)) == f"['Chain.c{COUNT - 1}.start'] STOPPED\nTrue\n"


@pytest.mark.slow
@pytest.mark.exhaustive
def test_a_replacement_of_the_first_component_of_a_chain_is_used_by_the_next() -> None:
    """Both by an override and by a declaration in a subclass."""
    program = """
        Chain = chain()
        class Sub(Chain):
            c0 = Component(Link, -1)
        with running(Sub()):
            print(turns["start"][:2], len(turns["start"]))
        turns["start"].clear()
        shop = Chain()
        with shop.override(Chain.c0).by(Link(-2)), running(shop):
            print(turns["start"][:2], len(turns["start"]))
    """

    assert run(HEAD + textwrap.dedent(program)) == f"[-1, 1] {COUNT}\n[-2, 1] {COUNT}\n"


@pytest.mark.slow
def test_a_component_that_5000_others_need_starts_first_and_a_component_that_needs_5000_starts_last() -> None:
    """The components between them start in order of declaration, and all stop in reverse order."""
    program = """
        members = {"bus": Component(Bus), "root": Component(Link, -1)}
        for number in range(5_000):
            members[f"c{number}"] = Component(Link, number, members["root"].provided)
        all_of_them = [members[f"c{number}"].provided for number in range(5_000)]
        members["end"] = Component(Link, 5_000, *all_of_them)
        with running(type("Fan", (Container,), members)()) as fan:
            print(len(fan.end().needed))
        print(turns["start"] == list(range(-1, 5_001)), turns["stop"] == turns["start"][::-1])
    """

    assert run(HEAD + textwrap.dedent(program)) == "5000\nTrue True\n"
