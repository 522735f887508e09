"""
Gives files to the user that a process becomes when it drops its privileges.

A file that root has opened stays open, but the user could not open it again at a
reload or a restart. So the owner of the file is changed before the user of the
process. Root must not change the owner of a file that an unprivileged user could
have put there: by a link, or by moving a file of root into a folder of that user.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from typedbus._channels.channel import Channel

DROPPING = Channel[[int, int], None]("dropping_privileges")
"""Published as root, right before the process becomes the user with the first id, in the group with the second."""


def hand_over(descriptor: int, path: Path, uid: int, gid: int, *, is_new: bool) -> str | None:
    """
    Make *uid* and *gid* the owners of the open file *descriptor* at *path*; return why not, or None on success.

    Args:
        descriptor: The open file.
        path: Its absolute path.
        uid: The user.
        gid: The group.
        is_new: Whether this process has created it. Then other users may have write
            access to the folder, if no symbolic link leads there.
    """
    status = os.fstat(descriptor)
    own = os.geteuid()
    if status.st_uid == uid:
        return None
    if status.st_uid != own:
        return f"it belongs to user {status.st_uid}"
    if not stat.S_ISREG(status.st_mode):
        return "it is not a regular file"
    if status.st_nlink != 1:
        return "it has other hard links"
    try:
        if not os.path.samestat(path.lstat(), status):
            return "a symbolic link or another file is at its path"
        folders = {*path.parents, *path.resolve().parents}
        unsafe = [folder for folder in folders if not _is_safe(folder.stat(), own)]
        if unsafe and not (is_new and _real_path(descriptor) == str(path)):
            return f"another user, with write access to {max(unsafe)}, may have put it there"
    except OSError as error:
        return f"{error.strerror}"
    try:
        os.chown(descriptor, uid, gid)
    except OSError as error:
        return f"{error.strerror}"
    return None


def _is_safe(folder: os.stat_result, own: int) -> bool:
    """Return whether only root and the user *own* can replace files in *folder*."""
    is_shared = folder.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not folder.st_mode & stat.S_ISVTX
    return folder.st_uid in (0, own) and not is_shared


def _real_path(descriptor: int) -> str | None:
    """Return the path of an open file without symbolic links; None if the system does not provide it."""
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115  # a text
    except OSError:
        return None
