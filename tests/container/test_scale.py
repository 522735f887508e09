"""Containers of thousands: that they work, each in a process of its own; figures are for the benchmark."""

import subprocess
import sys
import textwrap

import pytest

#: What each process begins with: a component that notes its turns, and chains of it.
HEAD = textwrap.dedent("""
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
        for number in range(1, 20_000):
            cls = last if number == 19_999 else Link
            links[f"c{number}"] = Component(cls, number, links[f"c{number - 1}"].provided)
        members = reversed(links.items()) if backwards else links.items()
        return type("Chain", (Container,), {"bus": Component(Bus), **dict(members)})
""")

#: One that is started again after a stop and after an exit, and of which nothing is left.
WHOLE_LIFE = HEAD + textwrap.dedent("""
    up, down = list(range(20_000)), list(range(20_000))[::-1]

    def live(backwards):
        declared = chain(backwards)
        shop = declared()
        shop.validate()
        bus = shop.attach()
        bus.start()
        bus.stop()
        assert turns == {"start": up, "stop": down, "exit": []}
        bus.start()
        built = weakref.ref(shop.c19999())
        bus.exit()
        assert turns == {"start": up * 2, "stop": down * 2, "exit": down}
        bus.start()
        assert built() is None
        bus.exit()
        assert turns == {"start": up * 3, "stop": down * 3, "exit": down * 2}
        kept = weakref.ref(shop), weakref.ref(declared), weakref.ref(shop.c19999())
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

#: Nothing of ours: whether the interpreter itself can drop so long a chain on so little stack.
PLAIN = textwrap.dedent("""
    import sys, threading
    class Link:
        def __init__(self, *needed): self.needed = needed
    def live():
        link = Link()
        for _ in range(20_000):
            link = Link(link)
    threading.stack_size(int(sys.argv[1]))
    thread = threading.Thread(target=live)
    thread.start()
    thread.join()
""")


def run(program: str, *arguments: int) -> str:
    """Run *program* in a Python of its own, which must end well, and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "backwards",
    [
        pytest.param(0, id="as needed"),
        pytest.param(1, id="each before what it needs", marks=pytest.mark.exhaustive),
    ],
)
def test_a_chain_of_20000_lives_twice_and_leaves_nothing(backwards: int) -> None:
    """It is validated, started, stopped, exited, built anew and dropped, whichever way it is declared."""
    assert run(WHOLE_LIFE, backwards, 0) == "lived\n"


@pytest.mark.slow
def test_a_chain_of_20000_needs_no_stack_of_its_own() -> None:
    """A thread with 256 KB will do, where the interpreter can drop as many plain objects there."""
    small = 256 * 1024
    plain = subprocess.run([sys.executable, "-c", PLAIN, str(small)], capture_output=True, check=False)
    if plain.returncode != 0:
        pytest.skip(f"this Python ends with {plain.returncode} where a chain of plain objects is dropped")

    assert run(WHOLE_LIFE, 0, small) == "lived\n"


@pytest.mark.slow
def test_a_chain_of_20000_that_runs_is_left_to_the_interpreter_s_end() -> None:
    """Which takes it apart without a crash and without a word."""
    program = """
        bus = chain()().attach()
        bus.start()
        print(len(turns["start"]))
    """

    assert run(HEAD + textwrap.dedent(program)) == "20000\n"


@pytest.mark.slow
def test_a_start_that_fails_at_the_end_of_a_chain_of_20000_is_rolled_back() -> None:
    """All the way, in reverse, with one failure told."""
    program = """
        class Broken(Link):
            def start(self): raise OSError("no")
        bus = chain(last=Broken)().attach()
        try:
            bus.start()
        except TransitionFailures as failed:
            print([failure.name for failure in failed.failures], bus.state.name)
        print(turns["stop"] == list(range(19_999))[::-1] and turns["stop"][::-1] == turns["start"])
    """

    assert run(HEAD + textwrap.dedent(program)) == "['Chain.c19999.start'] STOPPED\nTrue\n"


@pytest.mark.slow
@pytest.mark.exhaustive
def test_a_replacement_reaches_all_of_a_chain_of_20000() -> None:
    """By an override, and by a subclass that declares the first anew."""
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

    assert run(HEAD + textwrap.dedent(program)) == "[-1, 1] 20000\n[-2, 1] 20000\n"


@pytest.mark.slow
def test_one_that_5000_need_starts_first_and_one_that_needs_5000_last() -> None:
    """Between them those tie, in order of declaration; all of it stops in reverse."""
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
