"""
How a bus of the old names replaces its process by a new run of the same program.

`typedbus._os.reexec` does that, with the original command line of the interpreter,
where it can. It refuses Windows and frozen programs; as in the original, this module
replaces those itself.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import Final

from typedbus._base.errors import RestartError
from typedbus._os.reexec import Image, named_directory

_STANDARD_STREAMS: Final = 3
# A text, as in the old module, but with the symbolic links of $PWD, so that a restart enters the new target of a link.
_startup_cwd: Final = named_directory() or os.getcwd()  # noqa: PTH109  # raises if the directory is gone, as the old module does

if sys.platform == "win32":
    max_files: int = 0
else:
    max_files: int = os.sysconf("SC_OPEN_MAX")


class Respawner:
    """The part of a bus of the old names that replaces the process; see `Bus`."""

    max_cloexec_files: int = max_files

    def log(self, msg: str = "", level: int = 20, traceback: bool = False) -> None:  # noqa: FBT002  # as `Bus` has it
        """See `Bus`."""
        raise NotImplementedError

    def _do_execv(self) -> None:
        """
        Replace the process by its original command line, in its original directory. This does not return.

        Raises:
            RestartError: `Image.problem` or the system refuses the replacement.
        """
        args = self._get_true_argv()
        self.log(f"Re-spawning {' '.join(args)}")
        self._extend_pythonpath(os.environ)
        if self.max_cloexec_files:
            self._set_cloexec()
        if sys.platform != "win32" and not getattr(sys, "frozen", False):
            Image(command=tuple(args), directory=_startup_cwd).replace()
            return
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
        if sys.platform == "win32":
            args = [f'"{arg}"' for arg in args]
        try:
            os.chdir(_startup_cwd)
            os.execv(sys.executable, args)  # noqa: S606  # without a shell on purpose
        except OSError as error:
            raise RestartError(
                f"the system refused: {error}; stop the process, and start it again from outside"
            ) from error

    @staticmethod
    def _get_true_argv() -> list[str]:
        """Return the command line of this process, beginning with the interpreter."""
        if getattr(sys, "frozen", False):
            return [sys.executable, *sys.argv[1:]]
        return list(sys.orig_argv)

    @staticmethod
    def _get_interpreter_argv() -> list[str]:
        """Return the options with which the interpreter was started; an empty list for a frozen program."""
        if getattr(sys, "frozen", False):
            return []
        import subprocess  # only code that calls this method needs it

        flags: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # noqa: SLF001  # used by multiprocessing as well
        return flags

    @staticmethod
    def _extend_pythonpath(env: MutableMapping[str, str]) -> None:
        """Add the working directory to ``PYTHONPATH`` of *env*, if `sys.path` contains it without this variable."""
        prefix = f".{os.pathsep}"
        existing = env.get("PYTHONPATH", "")
        if sys.path[:1] == [""] and not existing.startswith(prefix):
            env["PYTHONPATH"] = prefix + existing

    def _set_cloexec(self) -> None:
        """
        Make all open files close at the replacement, except standard streams and sockets from a service manager.

        It lists the open descriptors, since their number may be limited only to a thousand million.
        """
        inherited = 0
        with contextlib.suppress(ValueError):
            if os.environ.get("LISTEN_PID") == str(os.getpid()):
                inherited = int(os.environ.get("LISTEN_FDS", "0"))
        listing = next((path for path in (Path("/proc/self/fd"), Path("/dev/fd")) if path.is_dir()), None)
        if listing is None:
            return
        for name in os.listdir(listing):  # noqa: PTH208  # names, not paths
            descriptor = int(name)
            if descriptor >= _STANDARD_STREAMS + inherited:
                with contextlib.suppress(OSError):  # the descriptor of the listing itself is closed by now
                    os.set_inheritable(descriptor, False)  # noqa: FBT003  # by position alone
