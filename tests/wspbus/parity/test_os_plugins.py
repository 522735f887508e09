"""Daemons, privileges and PID files, compared with the original."""

from __future__ import annotations

import os

import pytest
from tests.wspbus.parity.comparison import RunBoth, diff, lines

pytestmark = pytest.mark.slow
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root may change the user of the process")

DAEMON = """
here = os.path.dirname(os.path.abspath(__file__))
first = os.getpid()
"""


def test_a_daemon_is_forked_twice_and_does_not_lead_a_session(run_both: RunBoth) -> None:
    """Its working directory stays, its umask is 0, its streams are files, and the command ends with 0."""
    original, ours = run_both(
        DAEMON,
        """
        os.umask(0o22)
        plugins.Daemonizer(bus, stdout=here + "/out", stderr=here + "/err").subscribe()
        bus.subscribe("start", lambda: show("before", os.getpid() == first), 60)

        def after():
            show("after", os.getpid() == first, os.getsid(0) == os.getpid(), os.getpgrp() == os.getsid(0), os.umask(0))
            show(os.getcwd() == here, os.readlink("/proc/self/fd/0"), sys.stdin.read() == "")
            os.write(2, b"on stderr\\n")

        bus.subscribe("start", after, 66)
        bus.subscribe("exit", lambda: show("exit"))
        bus.start()
        bus.exit()
        sys.exit(5)
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_a_second_start_does_not_fork_a_daemon_again(run_both: RunBoth) -> None:
    """D26: the original forks again."""
    original, ours = run_both(
        DAEMON,
        """
        daemonizer = plugins.Daemonizer(bus, stdout=here + "/out", stderr=here + "/err")
        daemonizer.subscribe()
        bus.start()
        bus.stop()
        # A parent that a fork has left behind would log at the same time.
        bus.listeners["log"].clear()
        bus.subscribe("log", lambda msg, level: "Already" in msg and show(level, msg))
        daemon = os.getpid()
        bus.start()
        show("the same process", os.getpid() == daemon)
        bus.exit()
        """,
    )

    assert diff(original, ours) == lines(
        """
        - the same process False
        + the same process True
        """
    )


def test_daemonize_makes_the_process_a_daemon_without_a_bus(run_both: RunBoth) -> None:
    """It reports to a function, and logs on no bus."""
    original, ours = run_both(
        DAEMON,
        """
        plugins.Daemonizer.daemonize(stdout=here + "/out", stderr=here + "/err", logger=lambda msg: show("logged", msg))
        show("after", os.getpid() == first, os.getsid(0) == os.getpid(), bus.state)
        os.write(2, b"on stderr\\n")
        sys.exit(5)
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_daemonizing_with_other_threads_logs_a_warning(run_both: RunBoth) -> None:
    """They do not survive the fork."""
    original, ours = run_both(
        DAEMON,
        """
        threading.Thread(target=threading.Event().wait, name="left behind").start()
        plugins.Daemonizer(bus, stdout=here + "/out", stderr=here + "/err").subscribe()
        bus.start()
        show([thread.name for thread in threading.enumerate()])
        bus.exit()
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_privileges_that_are_not_set_are_logged_once(run_both: RunBoth) -> None:
    """The level is 30."""
    original, ours = run_both(
        """
        plugins.DropPrivileges(bus).subscribe()
        bus.start()
        bus.stop()
        bus.start()
        bus.exit()
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_the_umask_is_set_once(run_both: RunBoth) -> None:
    """It is logged in octal."""
    original, ours = run_both(
        """
        os.umask(0o22)
        dropping = plugins.DropPrivileges(bus, umask=0o27)
        dropping.subscribe()
        bus.start()
        bus.stop()
        bus.start()
        bus.exit()
        show(oct(os.umask(0)), dropping.umask, dropping.uid, dropping.gid, dropping.finalized)
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


@needs_root
def test_privileges_are_dropped_once_to_a_user_and_a_group(run_both: RunBoth) -> None:
    """Other groups are removed; ours sets the groups of the user."""
    original, ours = run_both(
        """
        dropping = plugins.DropPrivileges(bus, umask=0o77, uid="nobody", gid="nogroup")
        show(type(dropping.uid).__name__, type(dropping.gid).__name__)
        dropping.subscribe()
        os.setgroups([0, 1, 2])
        bus.start()
        show(os.getresuid() == (dropping.uid,) * 3, os.getresgid() == (dropping.gid,) * 3, os.getgroups())
        bus.stop()
        bus.start()
        bus.exit()
        """,
    )

    assert diff(original, ours) == lines(
        """
        + 20 runs as user 65534, group 65534, groups [65534]
        - True True []
        + True True [65534]
        """
    )


@needs_root
def test_a_user_without_a_group_gets_the_groups_of_the_user(run_both: RunBoth) -> None:
    """D28: the original keeps the groups of root."""
    original, ours = run_both(
        """
        plugins.DropPrivileges(bus, umask=0o77, uid="nobody").subscribe()
        os.setgroups([0, 1, 2])
        bus.start()
        show(os.getuid() == 0, os.getgid() == 0, 0 in os.getgroups())
        bus.exit()
        """,
    )

    assert diff(original, ours) == lines(
        """
        + 20 runs as user 65534, group 65534, groups [65534]
        - 20 Running as uid: 'nobody' gid: 'root'
        + 20 Running as uid: 'nobody' gid: 'nogroup'
        - False True True
        + False False False
        """
    )


def test_unknown_users_and_groups_are_refused_when_they_are_given(run_both: RunBoth) -> None:
    """The error does not wait for the start."""
    original, ours = run_both(
        """
        for what in ("uid", "gid"):
            try:
                plugins.DropPrivileges(bus, **{what: "no such name"})
            except KeyError as error:
                show(what, "KeyError")
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_a_pid_file_is_written_at_the_start_and_removed_at_the_exit(run_both: RunBoth) -> None:
    """It has the pid and a newline; both steps are logged."""
    original, ours = run_both(
        """
        here = os.path.dirname(os.path.abspath(__file__))
        path = here + "/site.pid"
        plugins.PIDFile(bus, path).subscribe()
        bus.start()
        with open(path) as file:
            show(repr(file.read()) == repr(f"{os.getpid()}\\n"))
        bus.stop()
        show(os.path.exists(path))
        bus.start()
        bus.exit()
        show(os.path.exists(path))
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_an_exit_succeeds_if_the_pid_file_is_missing(run_both: RunBoth) -> None:
    """D27: ours logs that it is missing."""
    original, ours = run_both(
        """
        path = os.path.dirname(os.path.abspath(__file__)) + "/site.pid"
        plugins.PIDFile(bus, path).subscribe()
        bus.start()
        os.remove(path)
        bus.exit()
        show(bus.state)
        """,
    )

    assert diff(original, ours) == lines(
        """
        + 30 HERE/site.pid was removed or changed by another program, and is left as it is
        + 20 PID file removed: 'HERE/site.pid'.
        """
    )


def test_a_pid_file_of_another_process_is_not_removed(run_both: RunBoth) -> None:
    """D27: the original removes it."""
    original, ours = run_both(
        """
        path = os.path.dirname(os.path.abspath(__file__)) + "/site.pid"
        plugins.PIDFile(bus, path).subscribe()
        bus.start()
        with open(path, "w") as file:
            file.write("1\\n")
        bus.exit()
        show("still there", os.path.exists(path))
        """,
    )

    assert diff(original, ours) == lines(
        """
        - 20 PID file removed: 'HERE/site.pid'.
        + 30 HERE/site.pid was removed or changed by another program, and is left as it is
        - still there False
        + still there True
        """
    )


def test_a_pid_file_is_written_again_by_a_start_after_an_exit(run_both: RunBoth) -> None:
    """D27: the original does not write it."""
    original, ours = run_both(
        """
        path = os.path.dirname(os.path.abspath(__file__)) + "/site.pid"
        plugins.PIDFile(bus, path).subscribe()
        bus.start()
        bus.exit()
        bus.start()
        show("written", os.path.exists(path))
        bus.exit()
        """,
    )

    assert diff(original, ours) == lines(
        """
        - 20 PID 1 already written to 'HERE/site.pid'.
        + 20 PID 1 written to 'HERE/site.pid'.
        - written False
        + written True
        + 20 PID file removed: 'HERE/site.pid'.
        """
    )
