"""Processes that begin as root and continue as another user: the order of the calls, and that they cannot be undone."""

from __future__ import annotations

import errno
import json
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs
import pytest

if sys.platform == "win32":
    pytest.skip("this system has no setuid", allow_module_level=True)

import grp
import pwd

from typedbus import LOG, Bus, Component, Container
from typedbus.plugins._process_ids import Identity, ProcessIds
from typedbus.plugins.privileges import CannotDrop, NoAccounts, Privileges, StillPrivileged, UnknownAccount
from typedbus.testing import Recorder, running

ROOT = Identity(frozenset({0}), frozenset({0}), (0, 4))


@attrs.define
class System:
    """A simulated system: the identity of the process, the calls, and the refused calls."""

    now: Identity = ROOT
    calls: list[tuple[str, object]] = attrs.field(factory=list)
    refused: dict[str, int] = attrs.field(factory=dict)
    #: Whether it keeps the right to change, whoever it is.
    keeps: bool = False
    #: Calls that do nothing and say nothing.
    deaf: frozenset[str] = frozenset()

    def privileges(self, bus: Bus, **asked: object) -> Privileges:
        """Return a component that calls this system."""
        privileges = Privileges(bus, **asked)  # type: ignore[arg-type]  # each test gives what fits
        privileges._ids = ProcessIds(lambda: self.now, self.setgroups, self.setgid, self.setuid)
        return privileges

    def setgroups(self, groups: Sequence[int]) -> None:
        """Set the groups."""
        self.call("setgroups", list(groups), attrs.evolve(self.now, groups=tuple(groups)))

    def setgid(self, gid: int) -> None:
        """Set the group."""
        self.call("setgid", gid, attrs.evolve(self.now, gids=frozenset({gid})))

    def setuid(self, uid: int) -> None:
        """Set the user."""
        self.call("setuid", uid, attrs.evolve(self.now, uids=frozenset({uid})))

    def call(self, name: str, argument: object, then: Identity) -> None:
        """Record the call, and execute it if it is permitted."""
        self.calls.append((name, argument))
        number = self.refused.get(name, errno.EPERM if 0 not in self.now.uids and not self.keeps else 0)
        if number:
            raise OSError(number, os.strerror(number))
        if name not in self.deaf:
            self.now = then


@pytest.fixture
def bus() -> Bus:
    """Return a bus."""
    return Bus()


@pytest.fixture
def system() -> System:
    """Return a system on which this process is root."""
    return System()


def test_groups_are_set_before_the_group_and_the_user_last(bus: Bus, system: System) -> None:
    """Then each call is tried with the previous ids, and is refused."""
    system.privileges(bus, user=1000, group=100, groups=[5, 6]).start()

    assert system.calls == [
        ("setgroups", [5, 6]),
        ("setgid", 100),
        ("setuid", 1000),
        ("setgroups", [0, 4]),
        ("setgid", 0),
        ("setuid", 0),
    ]
    assert system.now == Identity(frozenset({1000}), frozenset({100}), (5, 6))


def test_a_user_alone_gets_its_own_groups(bus: Bus, system: System) -> None:
    """None of root's groups is kept."""
    nobody = pwd.getpwnam("nobody")
    system.privileges(bus, user="nobody").start()

    assert system.calls[:3] == [
        ("setgroups", os.getgrouplist("nobody", nobody.pw_gid)),
        ("setgid", nobody.pw_gid),
        ("setuid", nobody.pw_uid),
    ]


def test_a_group_replaces_the_primary_group_of_the_user(bus: Bus, system: System) -> None:
    """The supplementary groups of the user stay."""
    system.privileges(bus, user="nobody", group=77).start()

    assert system.calls[:2] == [("setgroups", os.getgrouplist("nobody", 77)), ("setgid", 77)]


def test_names_and_ids_are_equivalent(bus: Bus, system: System) -> None:
    """A name is looked up, and an id is used as it is."""
    group = grp.getgrall()[-1]
    other = System()
    system.privileges(bus, user=pwd.getpwnam("nobody").pw_uid, group=group.gr_gid, groups=[group.gr_gid, 5]).start()
    other.privileges(bus, user="nobody", group=group.gr_name, groups=[group.gr_name, 5]).start()

    assert system.calls == other.calls


@pytest.mark.parametrize(
    ("asked", "calls"),
    [
        ({"group": 100}, [("setgroups", [100]), ("setgid", 100)]),
        ({"groups": []}, [("setgroups", [])]),
        ({}, []),
        ({"user": 0, "group": 0, "groups": []}, [("setgroups", []), ("setgid", 0), ("setuid", 0)]),
    ],
)
def test_a_process_that_stays_root_logs_a_warning(
    bus: Bus, system: System, asked: dict[str, object], calls: list[tuple[str, object]]
) -> None:
    """The calls are made, and not tried again, since root may undo them."""
    with Recorder(bus[LOG]) as logged:
        system.privileges(bus, **asked).start()

    assert system.calls == calls
    assert [call.args for call in logged.calls] == [("the process stays root; give Privileges another user", 30)]


@pytest.mark.parametrize("groups", [(100, 5), (5,), ()])
def test_a_process_that_already_is_the_user_is_not_changed(bus: Bus, groups: tuple[int, ...]) -> None:
    """As after a restart: no call is made, and this is logged."""
    system = System(Identity(frozenset({1000}), frozenset({100}), groups))
    with Recorder(bus[LOG]) as logged:
        system.privileges(bus, user=1000, group=100, groups=[5]).start()

    assert system.calls == []
    assert [call.args for call in logged.calls] == [("runs as user 1000, group 100, groups [5] already", 20)]


def test_a_second_start_makes_no_call(bus: Bus, system: System) -> None:
    """After a stop the process is the user already."""
    privileges = system.privileges(bus, user=1000, group=100)
    privileges.start()
    first = list(system.calls)
    privileges.start()

    assert system.calls == first


@pytest.mark.parametrize(
    ("uids", "gids", "groups"),
    [({1000, 1}, {100}, ()), ({1000}, {100, 1}, ()), ({1000}, {100}, (5, 6)), ({1}, {100}, ()), ({1000}, {1}, ())],
)
def test_a_process_that_is_not_root_cannot_become_another_user(
    bus: Bus, uids: set[int], gids: set[int], groups: tuple[int, ...]
) -> None:
    """A different saved id or an additional group counts: the error names the call, the requested ids and the remedy."""
    system = System(Identity(frozenset(uids), frozenset(gids), groups))

    with pytest.raises(CannotDrop) as refused:
        system.privileges(bus, user=1000, group=100, groups=[5]).start()

    assert (refused.value.call, refused.value.uid, refused.value.errno) == ("setgroups", max(uids), errno.EPERM)
    assert str(refused.value) == (
        f"the process runs as uid {max(uids)} and cannot become user 1000, group 100, groups [5]: "
        "setgroups: Operation not permitted; "
        "start it as root, or as that user with those groups, or leave out the Privileges component"
    )
    assert str(pickle.loads(pickle.dumps(refused.value))) == str(refused.value)


@pytest.mark.parametrize("call", ["setgroups", "setgid", "setuid"])
def test_the_error_names_the_refused_call(bus: Bus, call: str) -> None:
    """No call is made after it."""
    system = System(refused={call: errno.EINVAL})

    with pytest.raises(CannotDrop, match=f"{call}: Invalid argument") as refused:
        system.privileges(bus, user=1000, group=100).start()

    assert refused.value.call == call
    assert system.calls[-1][0] == call


@pytest.mark.parametrize("call", ["setgroups", "setgid", "setuid"])
def test_a_call_without_effect_is_an_error(bus: Bus, call: str) -> None:
    """The identity of the process is checked after the calls."""
    system = System(deaf=frozenset({call}))

    with pytest.raises(StillPrivileged, match="the process is Identity.* and not user 1000, group 100"):
        system.privileges(bus, user=1000, group=100, groups=[]).start()


@pytest.mark.parametrize("call", ["setgroups", "setgid", "setuid"])
def test_a_change_that_can_be_undone_is_an_error(bus: Bus, call: str) -> None:
    """The start fails if one of the calls succeeds with the previous ids."""
    others = {"setgroups", "setgid", "setuid"} - {call}
    system = System(keeps=True)
    # What is refused from the moment on that the user has changed.
    change = system.setuid

    def setuid(uid: int) -> None:
        change(uid)
        system.refused = dict.fromkeys(others, errno.EPERM)

    privileges = Privileges(bus, user=1000, group=100)
    privileges._ids = ProcessIds(lambda: system.now, system.setgroups, system.setgid, setuid)

    with pytest.raises(StillPrivileged, match=f"but {call} with the previous ids succeeded; take CAP_SETUID"):
        privileges.start()


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ({"user": "no such user"}, "user 'no such user' does not exist on this system; create it, or correct the name"),
        ({"group": "no such"}, "group 'no such' does not exist on this system; create it, or correct the name"),
        ({"groups": ["no such"]}, "group 'no such' does not exist on this system; create it, or correct the name"),
        ({"user": 3999999999}, "user 3999999999 has no entry with its primary group; give a group as well"),
        ({"user": -1}, "user -1 is neither a name nor an id; give a name or an id"),
        ({"group": 2**32 - 1}, "group 4294967295 is neither a name nor an id; give a name or an id"),
        ({"groups": [True]}, "group True is neither a name nor an id; give a name or an id"),
        ({"groups": "nogroup"}, "group 'nogroup' is a single name; give a list of groups"),
    ],
)
def test_an_unknown_account_is_an_error_at_construction(
    bus: Bus, system: System, asked: dict[str, object], text: str
) -> None:
    """No file is open by then; the error names the account and the remedy."""
    with pytest.raises(UnknownAccount) as refused:
        system.privileges(bus, **asked)

    assert str(refused.value) == text
    assert str(pickle.loads(pickle.dumps(refused.value))) == text
    assert system.calls == []


def test_a_umask_is_set_at_each_start(bus: Bus, system: System) -> None:
    """Whether or not the user changes."""
    before = os.umask(0o077)
    try:
        system.privileges(bus, umask=0o027).start()
    finally:
        after = os.umask(before)

    assert after == 0o027


def test_no_umask_is_set_unless_asked_for(bus: Bus, system: System) -> None:
    """The mask of the process stays."""
    before = os.umask(0o077)
    try:
        system.privileges(bus).start()
    finally:
        after = os.umask(before)

    assert after == 0o077


def test_components_without_a_priority_start_as_root() -> None:
    """They start before it, even if they are declared later."""
    system = System()
    identities: list[Identity] = []

    class Server:
        def start(self) -> None:
            identities.append(system.now)

    class Site(Container):
        bus = Component(Bus)
        privileges = Component(system.privileges, bus.provided, user=1000, group=100)
        server = Component(Server)

    with running(Site()):
        assert identities == [ROOT]
        assert system.now.uids == {1000}


def test_the_error_on_a_system_without_setuid_names_the_alternative() -> None:
    """The text has the reason and the remedy."""
    assert str(NoAccounts()) == (
        "this system has no setuid(2); leave out the Privileges component, and let a service manager run the program as another user"
    )


PROGRAM = """
import json, os, sys, threading
from typedbus import *
from typedbus.plugins.privileges import Privileges

def status(path):
    lines = dict(line.split(":", 1) for line in open(path))
    return [[int(id) for id in lines[name].split()] for name in ("Uid", "Gid", "Groups")]

bus = Bus()
over = threading.Event()
threads = [threading.Thread(target=over.wait) for _ in range(2)]
for thread in threads:
    thread.start()
try:
    privileges = Privileges(bus, {asked})
    privileges.start()
    print(json.dumps([status(f"/proc/self/task/{{task}}/status") for task in os.listdir("/proc/self/task")]))
    privileges.start()
finally:
    over.set()
"""
as_root = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root becomes somebody else, and Linux tells of threads"
)


def run_python(asked: str, *before: str) -> subprocess.CompletedProcess[str]:
    """Run a process with threads that drops its privileges with the arguments *asked*, under the command *before*."""
    command = [*before, sys.executable, "-c", PROGRAM.format(asked=asked)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.slow
@as_root
@pytest.mark.parametrize(
    ("asked", "uid", "gid", "groups"),
    [
        ("user=65534, group=65533, groups=[7, 8]", 65534, 65533, [7, 8]),
        pytest.param("user=65534, group=65533", 65534, 65533, None, marks=pytest.mark.exhaustive),
        pytest.param(
            "user=3999999999, group=3999999998", 3999999999, 3999999998, [3999999998], marks=pytest.mark.exhaustive
        ),
    ],
)
def test_a_process_of_root_becomes_another_user_in_every_thread(
    asked: str, uid: int, gid: int, groups: list[int] | None
) -> None:
    """Real, effective, saved and file system ids, and the groups; a second start makes no call."""
    if groups is None:
        groups = sorted(os.getgrouplist(pwd.getpwuid(uid).pw_name, gid))

    ended = run_python(asked)

    assert (ended.returncode, ended.stderr) == (0, "")
    assert json.loads(ended.stdout) == [[[uid] * 4, [gid] * 4, groups]] * 3


@pytest.mark.slow
@as_root
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is what keeps the capabilities")
def test_a_process_that_keeps_its_capabilities_does_not_start() -> None:
    """It has the requested ids, and could become root again at any time."""
    ended = run_python("user=65534, group=65534", "setpriv", "--securebits", "+no_setuid_fixup")

    assert "StillPrivileged: privileges were dropped, but setgroups with the previous ids succeeded" in ended.stderr


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("unshare") is None
    or subprocess.run(["unshare", "-r", "true"], capture_output=True, check=False).returncode != 0,
    reason="this user may make no user namespace",
)
def test_root_in_a_user_namespace_cannot_become_another_user() -> None:
    """The namespace has no other user: the system refuses the call, and the error names it."""
    ended = run_python("user=65534, group=65534", "unshare", "-r")

    assert ended.returncode == 1
    assert "CannotDrop: the process runs as uid 0 and cannot become user 65534, group 65534" in ended.stderr


AS_ROOT = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="root alone changes owners and capabilities"
)
SITE = """\
import sys
from pathlib import Path

from typedbus import Bus, Component, Container
from typedbus.plugins.logs import Logging
from typedbus.plugins.privileges import Privileges
from typedbus.testing import running


class Site(Container):
    bus = Component(Bus)
    logs = Component(Logging, bus.provided, file=sys.argv[1])
    privileges = Component(Privileges, bus.provided, user=65534, group=65534)


with running(Site) as site:
    site.bus().graceful()
    if len(sys.argv) > 2:
        Path(sys.argv[1]).rename(sys.argv[2])
        site.bus().graceful()
with running(Site):
    # The second life opens the file as the user, as a restart does.
    pass
"""


def begin_as_root(log: Path, *moved: Path) -> subprocess.CompletedProcess[str]:
    """Run a site that begins as root and opens *log*, and then reloads twice as user 65534."""
    return subprocess.run(
        [sys.executable, "-c", SITE, str(log), *map(str, moved)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def shared() -> Iterator[Path]:
    """Return a folder of root that every user can read; the folders of pytest are private."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@AS_ROOT
@pytest.mark.slow
def test_a_log_file_that_root_has_opened_can_be_opened_again(shared: Path) -> None:
    """It belongs to the user then; the folder still belongs to root."""
    process = begin_as_root(shared / "site.log")

    assert (process.returncode, process.stderr) == (0, "")
    assert (shared / "site.log").stat().st_uid == 65534
    assert shared.stat().st_uid == 0
    assert (shared / "site.log").read_text(encoding="utf-8").count("bus STARTED") == 2


@AS_ROOT
@pytest.mark.slow
def test_a_log_file_in_a_folder_of_the_user_can_be_moved_away(shared: Path) -> None:
    """The new file belongs to the user as well."""
    folder = shared / "log"
    folder.mkdir()
    os.chown(folder, 65534, 65534)

    process = begin_as_root(folder / "site.log", folder / "site.log.1")

    assert (process.returncode, process.stderr) == (0, "")
    assert [path.stat().st_uid for path in sorted(folder.iterdir())] == [65534, 65534]


@AS_ROOT
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["symbolic link", "hard link", "moved", "folder"])
def test_the_owner_of_a_file_that_the_user_may_have_planted_is_not_changed(shared: Path, kind: str) -> None:
    """Root could give away a file of its own."""
    secret, folder = shared / "secret", shared / "log"
    secret.write_text("secret\n", encoding="utf-8")
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    if kind == "symbolic link":
        (folder / "site.log").symlink_to(secret)
    elif kind == "hard link":
        (folder / "site.log").hardlink_to(secret)
    elif kind == "moved":
        secret.rename(folder / "site.log")
    else:
        (shared / "roots").mkdir()
        (folder / "link").symlink_to(shared / "roots")
        folder /= "link"

    process = begin_as_root(folder / "site.log")

    assert process.returncode == 1
    assert (folder / "site.log").stat().st_uid == 0
    assert "is not handed over to user 65534" in (folder / "site.log").read_text(encoding="utf-8")


CAPABILITIES = """\
import os
import sys
import threading
from pathlib import Path

from typedbus import Bus, Component, Container, run
from typedbus.plugins.privileges import Privileges


class Part:
    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.end = threading.Event()
        self.thread = threading.Thread(target=self.end.wait)

    def start(self) -> None:
        self.thread.start()

    def main(self) -> None:
        for status in Path("/proc/self/task").glob("*/status"):
            lines = status.read_text().splitlines()
            print(*[line.split()[1] for line in lines if line.startswith(("CapPrm", "CapEff", "CapAmb"))])
        self.bus.request_exit()

    def stop(self) -> None:
        self.end.set()
        self.thread.join()


class Site(Container):
    bus = Component(Bus)
    part = Component(Part, bus.provided)
    privileges = Component(Privileges, bus.provided, user="nobody")


raise SystemExit(run(Site))
"""


@AS_ROOT
@pytest.mark.slow
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv gives a process its capabilities here")
@pytest.mark.parametrize(
    ("given", "kept"),
    [("+setuid", 0), ("+setgid", 0), ("+setuid,+setgid,+net_bind_service", 1 << 10)],
)
def test_a_process_that_already_is_the_user_drops_its_set_id_capabilities(given: str, kept: int) -> None:
    """In every thread; a capability for low ports stays."""
    nobody = pwd.getpwnam("nobody")
    ids = ["--reuid", str(nobody.pw_uid), "--regid", str(nobody.pw_gid), "--clear-groups"]
    process = subprocess.run(
        ["setpriv", *ids, "--inh-caps", given, "--ambient-caps", given, sys.executable, "-c", CAPABILITIES],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if process.returncode in (126, 127):
        pytest.skip(f"user nobody cannot run this interpreter, or the system gives no capabilities: {process.stderr}")

    assert process.returncode == 0, process.stderr
    sets = [int(bits, 16) for line in process.stdout.splitlines() for bits in line.split()]
    assert len(sets) >= 6
    assert set(sets) == {kept}
