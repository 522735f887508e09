"""
Drops the privileges of a process that began as root, once it has opened what only root may open.

Ports and files are opened first, so this starts late. The order of the calls makes
it safe: first the supplementary groups, then the group, and the user last, since
setuid removes the right to change the groups. Changing only the user would keep
root's groups, so the groups of the user are always set with it.

Afterwards the component tries to regain what it gave up, and the attempt must
fail: so a process that has kept a capability, or a system where ids do not mean
what they seem, is detected at the start and not by an attacker. glibc makes such
calls for every thread (nptl(7)), so other threads may run already.
"""

from __future__ import annotations

import errno
import functools
import os
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from typing import Final

import attrs

from typedbus._base.errors import OperatorError
from typedbus._base.structured import StructuredError
from typedbus._bus.builtin import START, WARNING
from typedbus._bus.bus import Bus
from typedbus._channels.marks import on
from typedbus._os.forks import threads_paused
from typedbus._os.system_call_error import SystemCallError
from typedbus.plugins._handover import DROPPING
from typedbus.plugins._process_ids import (
    SET_IDS,
    SYSTEM,
    TASKS,
    Identity,
    ProcessIds,
    drop_capabilities,
    set_id_capabilities,
)

__all__ = ("DROPPING", "CannotDrop", "NoAccounts", "Privileges", "StillPrivileged", "UnknownAccount")

#: The id that means "unchanged" in system calls: -1 as an unsigned number.
_UNCHANGED: Final = 2**32 - 1


class UnknownAccount(StructuredError, LookupError, OperatorError):
    """
    Raised for a user or group that this system does not have, or about which too little is known.

    Attributes:
        kind: "user" or "group".
        given: The name or id that was given.
        reason: What is missing.
    """

    kind: str
    given: object
    reason: str

    def __str__(self) -> str:
        return f"{self.kind} {self.given!r} {self.reason}"


class CannotDrop(SystemCallError, PermissionError):  # pyright: ignore[reportIncompatibleVariableOverride]  # its errno is never None
    """
    Raised by the start of `Privileges` in a process that may not change to the requested user or groups.

    Attributes:
        call: The system call that was refused.
        wanted: The user and the groups that were requested.
        uid: The user that the process runs as.
    """

    call: str
    wanted: str
    uid: int

    def __str__(self) -> str:
        return (
            f"the process runs as uid {self.uid} and cannot become {self.wanted}: {self.call}: {self.strerror}; "
            "start it as root, or as that user with those groups, or leave out the Privileges component"
        )


class StillPrivileged(StructuredError, RuntimeError, OperatorError):
    """
    Raised by the start of `Privileges` if the process could still regain its privileges.

    Attributes:
        reason: The privilege that is left.
    """

    reason: str

    def __str__(self) -> str:
        return f"privileges were dropped, but {self.reason}; take CAP_SETUID and CAP_SETGID from the process"


class NoAccounts(NotImplementedError, OperatorError):
    """Raised for `Privileges` on a system without setuid(2)."""

    def __str__(self) -> str:
        return (
            "this system has no setuid(2); "
            "leave out the Privileges component, and let a service manager run the program as another user"
        )


def _entry_of(user: str | int) -> tuple[str | None, int, int | None]:
    """Return name, uid and primary group of *user*; a number needs no entry in the user database."""
    if sys.platform == "win32":
        raise NoAccounts
    import pwd  # Unix only

    try:
        entry = pwd.getpwnam(user) if isinstance(user, str) else pwd.getpwuid(user)
    except (KeyError, ValueError) as error:
        # ValueError: a name with a null character, or one that is not UTF-8, does not exist either.
        if isinstance(user, int):
            return None, user, None
        raise UnknownAccount("user", user, "does not exist on this system; create it, or correct the name") from error
    return entry.pw_name, entry.pw_uid, entry.pw_gid


def _gid_of(group: str | int) -> int:
    if sys.platform == "win32":
        raise NoAccounts
    import grp  # Unix only

    if not isinstance(group, str):
        return group
    try:
        return grp.getgrnam(group).gr_gid
    except (KeyError, ValueError) as error:
        raise UnknownAccount("group", group, "does not exist on this system; create it, or correct the name") from error


@attrs.define(eq=False)
class Privileges:
    """
    Changes the user of the process, from the start of this component to the end of the process.

    Components that start before it open what only root may open. Everything later,
    including a stop, an exit and a restart, runs as the new user. A process that
    already runs as this user is not changed. Any thread may start it; the change
    applies to all threads.

    Args:
        bus: Messages are logged on its `LOG`.
        user: Name or uid; None keeps the user.
        group: Name or gid; None is the primary group of *user*.
        groups: Supplementary groups, by name or gid; None is the groups of *user*,
            or no further groups if *group* is given without *user*.
        umask: The file-creation mask, for example 0o027; None keeps it.

    Raises:
        UnknownAccount: There is no such user or group, or the user has no known group and *group* is not given.
        NoAccounts: The system has no setuid(2).
    """

    bus: Bus
    user: str | int | None = attrs.field(kw_only=True, default=None)
    group: str | int | None = attrs.field(kw_only=True, default=None)
    groups: Sequence[str | int] | None = attrs.field(kw_only=True, default=None)
    umask: int | None = attrs.field(kw_only=True, default=None)
    #: The calls that change the process; tests replace them.
    _ids: ProcessIds = attrs.field(init=False, repr=False)
    _uid: int | None = attrs.field(init=False, default=None)
    _gid: int | None = attrs.field(init=False, default=None)
    _groups: list[int] | None = attrs.field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        if sys.platform == "win32" or SYSTEM is None:
            raise NoAccounts
        self._ids = SYSTEM
        if isinstance(self.groups, str):
            raise UnknownAccount("group", self.groups, "is a single name; give a list of groups")
        accounts = [("user", self.user), ("group", self.group), *(("group", group) for group in self.groups or ())]
        for kind, account in accounts:
            if isinstance(account, bool) or (isinstance(account, int) and not 0 <= account < _UNCHANGED):
                raise UnknownAccount(kind, account, "is neither a name nor an id; give a name or an id")
        name = None
        if self.user is not None:
            name, self._uid, self._gid = _entry_of(self.user)
        if self.group is not None:
            self._gid = _gid_of(self.group)
        if self._uid is not None and self._gid is None:
            raise UnknownAccount("user", self.user, "has no entry with its primary group; give a group as well")
        if self.groups is not None:
            self._groups = [_gid_of(group) for group in self.groups]
        elif self._gid is not None:
            self._groups = [self._gid] if name is None else os.getgrouplist(name, self._gid)
        # At construction, since capabilities belong to a thread and are inherited by the threads that it starts later.
        self._drop_capabilities()

    def _drop_capabilities(self) -> None:
        """Drop CAP_SETUID and CAP_SETGID if the process already runs as the requested user."""
        if sys.platform != "linux" or os.geteuid() == 0 or not self._is_reached(self._ids.identity()):
            return
        capabilities = set_id_capabilities(TASKS / str(threading.get_native_id()))
        if capabilities:
            with threads_paused():
                drop_capabilities(capabilities)
            names = ", ".join(name for bit, name in SET_IDS.items() if capabilities & bit)
            self.bus.log(f"dropped {names}, with which the process began")

    @on(START, priority=80)
    def start(self) -> None:
        """
        Change to the requested user and groups, permanently.

        Raises:
            CannotDrop: The system refuses it, as it does for a process that does not run as root.
            StillPrivileged: The process could undo the change.
        """
        if self.umask is not None:
            os.umask(self.umask)
        before = self._ids.identity()
        if 0 not in before.uids and self._is_reached(before):
            if sys.platform == "linux" and os.geteuid() != 0:
                for thread in TASKS.iterdir() if TASKS.exists() else ():
                    if set_id_capabilities(thread):
                        raise StillPrivileged(f"thread {thread.name} may still change its user or its groups")
            self.bus.log(f"runs as {self._wanted} already")
            return
        if 0 in before.uids and self._uid and self._gid is not None:
            self.bus[DROPPING].publish(self._uid, self._gid)
        for call, change in self._calls(self._groups, self._gid, self._uid):
            try:
                change()
            except OSError as error:
                raise CannotDrop(error.errno or errno.EPERM, call, self._wanted, max(before.uids)) from error
        now = self._ids.identity()
        if not self._is_reached(now):
            raise StillPrivileged(f"the process is {now}, and not {self._wanted}")
        if 0 in now.uids:
            self.bus.log("the process stays root; give Privileges another user", WARNING)
            return
        # Each call is tried, since one capability is enough for one of them. Ids that did not change are not tried.
        gids, uids = before.gids - now.gids, before.uids - now.uids
        for call, change in self._calls(before.groups, min(gids, default=None), min(uids, default=None)):
            try:
                change()
            except OSError:
                continue
            raise StillPrivileged(f"{call} with the previous ids succeeded")
        self.bus.log(f"runs as {self._wanted}")

    @property
    def _wanted(self) -> str:
        ids = (("user", self._uid), ("group", self._gid), ("groups", self._groups))
        return ", ".join(f"{kind} {value}" for kind, value in ids if value is not None) or "its present user"

    def _is_reached(self, now: Identity) -> bool:
        uids = now.uids if self._uid is None else frozenset({self._uid})
        gids = now.gids if self._gid is None else frozenset({self._gid})
        return (
            (now.uids, now.gids) == (uids, gids)
            # The system may or may not list the primary group here, and missing groups are not a privilege.
            and (self._groups is None or {*now.groups} <= {*self._groups, *gids})
        )

    def _calls(
        self, groups: Sequence[int] | None, gid: int | None, uid: int | None
    ) -> Generator[tuple[str, Callable[[], None]]]:
        """Yield the name and the function of each call to make, in the order in which they are permitted."""
        if groups is not None:
            yield "setgroups", functools.partial(self._ids.setgroups, groups)
        if gid is not None:
            yield "setgid", functools.partial(self._ids.setgid, gid)
        if uid is not None:
            yield "setuid", functools.partial(self._ids.setuid, uid)
