"""Restarts of the process, compared with the original."""

from __future__ import annotations

import pytest
from tests.wspbus.parity.comparison import RunBoth, diff, lines

pytestmark = pytest.mark.slow

RESTART = """
again = os.environ.get("AGAIN")
show(again, sys.argv[1:], sys.orig_argv[1:], os.getcwd(), sys.flags.optimize, sys.warnoptions)
if again:
    sys.exit(9)
os.environ["AGAIN"] = "again"
"""


def test_a_restart_executes_the_same_command_in_the_same_directory(run_both: RunBoth) -> None:
    """Options of the interpreter, arguments of the program and the environment are kept."""
    original, ours = run_both(
        RESTART,
        """
        os.chdir("/")
        bus.subscribe("exit", lambda: show("exit"))
        bus.start()
        bus.subscribe("main", bus.restart)
        bus.block(0.01)
        show("never")
        """,
        python=["-O", "-W", "ignore"],
        args=["one", "two words", "--three"],
    )

    assert original.endswith("status 9\n")
    assert ours == original


def test_a_restart_from_another_thread_is_carried_out_by_the_thread_in_block(run_both: RunBoth) -> None:
    """The process is replaced by the main thread."""
    original, ours = run_both(
        RESTART,
        """
        def restart():
            # Wait for it: the original logs the two last lines in either order.
            thread = threading.Thread(target=bus.restart, daemon=True)
            thread.start()
            thread.join()

        bus.subscribe("main", restart)
        bus.start()
        bus.block()
        show("never")
        """,
    )

    assert original.endswith("status 9\n")
    assert ours == original


def test_a_restart_without_a_thread_in_block_exits_with_a_warning(run_both: RunBoth) -> None:
    """D19: the original logs nothing."""
    original, ours = run_both(
        RESTART,
        """
        bus.start()
        bus.restart()
        show(bus.execv, bus.state)
        """,
    )

    assert diff(original, ours) == lines(
        """
        + 30 No thread is in block() to replace the process; the next call of block() replaces it.
        """
    )


def test_a_restart_of_a_module_executes_it_as_a_module(run_both: RunBoth) -> None:
    """-m and the working directory in sys.path are kept."""
    original, ours = run_both(
        RESTART,
        """
        bus.start()
        bus.subscribe("main", bus.restart)
        bus.block(0.01)
        """,
        command=["-m", "script"],
        args=["x"],
    )

    assert original.endswith("status 9\n")
    assert ours == original


def test_a_restart_keeps_arguments_that_look_like_options_of_the_interpreter(run_both: RunBoth) -> None:
    """D17: the original mistakes them for options."""
    original, ours = run_both(
        RESTART,
        """
        bus.start()
        bus.subscribe("main", bus.restart)
        try:
            bus.block(0.01)
        except RuntimeError as error:
            show("RuntimeError")
        """,
        args=["-c", "-c", "x"],
    )

    assert diff(original, ours) == lines(
        """
        - RuntimeError
        + 20 Re-spawning PYTHON script.py -c -c x
        + again ['-c', '-c', 'x'] ['script.py', '-c', '-c', 'x'] HERE 0 []
        - status 0
        + status 9
        """
    )


def test_a_restart_of_code_from_the_command_line_executes_it_again(run_both: RunBoth) -> None:
    """Its arguments are kept."""
    original, ours = run_both(
        RESTART,
        """
        bus.start()
        bus.subscribe("main", bus.restart)
        bus.block(0.01)
        """,
        command=["-c", "exec(open('script.py').read())"],
        args=["x"],
    )

    assert original.endswith("status 9\n")
    assert ours == original


def test_only_standard_streams_stay_open_in_a_restart(run_both: RunBoth) -> None:
    """With max_cloexec_files = 0 other inheritable files stay open as well."""
    original, ours = run_both(
        """
        step = int(os.environ.get("STEP", 0))
        if step:
            try:
                os.fstat(int(os.environ["OPEN"]))
                show("open")
            except OSError:
                show("closed")
        if step == 2:
            sys.exit()
        opened = os.open(os.devnull, os.O_RDONLY)
        os.set_inheritable(opened, True)
        os.environ |= {"STEP": str(step + 1), "OPEN": str(opened)}
        bus.max_cloexec_files = 0 if step else 4096
        bus.start()
        bus.subscribe("main", bus.restart)
        bus.block(0.01)
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_the_flag_of_a_restart_is_reset_when_it_is_carried_out(run_both: RunBoth) -> None:
    """D19: with the original the next block replaces the process again."""
    original, ours = run_both(
        """
        os.execv = lambda path, args: show("execv")
        bus.start()
        bus.subscribe("main", bus.restart)
        bus.block(0.01)
        show("the flag stays", bus.execv)
        """,
    )

    assert diff(original, ours) == lines(
        """
        - the flag stays True
        + the flag stays False
        """
    )


def test_output_is_flushed_before_a_restart(run_both: RunBoth) -> None:
    """D19: the original loses it."""
    original, ours = run_both(
        """
        if "AGAIN" in os.environ:
            sys.exit()
        os.environ["AGAIN"] = "again"
        bus = wspbus.Bus()
        print("printed, not flushed")
        bus.start()
        bus.subscribe("main", bus.restart)
        bus.block(0.01)
        """,
    )

    assert diff(original, ours) == lines(
        """
        + printed, not flushed
        """
    )
