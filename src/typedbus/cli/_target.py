"""Loads a container by its name on the command line: ``package.module:Shop``."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import traceback
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Final

import click

from typedbus._base.errors import NoContainer
from typedbus._base.failures import describe
from typedbus._container.attachment import container_of
from typedbus._container.container import Container
from typedbus._container.faults import Fault, InvalidContainer

# A traceback that reaches the user's code begins with frames of these files.
_MACHINERY: Final = (str(Path(__file__).parent.parent), importlib.__file__, "<frozen importlib")


class CannotLoad(click.ClickException):
    """
    Raised for a target that does not name a container; the exit status is 2.

    Attributes:
        target: The target as given.
        reason: What is wrong, and how to correct it.
    """

    exit_code = 2

    def __init__(self, target: str, reason: str) -> None:
        super().__init__(f"cannot load {target}: {reason}")
        self.target = target
        self.reason = reason


def load(target: str, report: Callable[[BaseException], object] = traceback.print_exception) -> Container:
    """
    Import what *target* names, and return the container or an instance of it.

    An error of the imported code is passed to *report*.

    Raises:
        CannotLoad: The module or the name in it does not exist, the name is not a container, or the import raised.
    """
    # In the locale C, Python does not decode non-ASCII bytes of arguments. Source code is UTF-8.
    with contextlib.suppress(UnicodeError):
        target = os.fsencode(target).decode()
    module, _, path = target.partition(":")
    if module.endswith(".py") or not all(part.isidentifier() for part in f"{module}.{path}".split(".")):
        imported = module.removesuffix(".py").strip("./").replace("/", ".")
        raise CannotLoad(target, f"give MODULE:NAME, with the module as Python imports it: {imported}:{path or 'Shop'}")
    # The first place, as with `python -m`; for a command, that is the folder of its own file.
    with contextlib.suppress(FileNotFoundError):
        # Without a working directory, installed modules can still be imported.
        sys.path.insert(0, str(Path.cwd()))
    with _reporting(target, report):
        value: object = importlib.import_module(module)
        names = [
            name
            for name, member in vars(value).items()
            if member is not Container and isinstance(member, type) and issubclass(member, Container)
        ]
        others = f"containers in {module}: {', '.join(names) or 'none'}"
        for name in path.split("."):
            if not hasattr(value, name):
                raise CannotLoad(target, f"{describe(value)} has no attribute {name!r}; {others}")
            value = getattr(value, name)
        try:
            return container_of(value)
        except NoContainer as error:
            if error.given is not value:
                raise
            raise CannotLoad(target, f"{error}; {others}") from None


def _working_directory() -> str:
    try:
        return f"the working directory, {Path.cwd()}"
    except FileNotFoundError:
        return "the working directory, which does not exist any more"


@contextlib.contextmanager
def _reporting(
    target: str, report: Callable[[BaseException], object] = traceback.print_exception
) -> Generator[None, None, None]:
    """
    Report an error of the user's code with a traceback that begins in that code, and raise `CannotLoad`.

    This includes SystemExit, which would look like the exit status of the command.
    """
    try:
        yield
    except (click.ClickException, KeyboardInterrupt):
        raise
    except BaseException as error:
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_MACHINERY):
            trace = trace.tb_next
        if trace is None and isinstance(error, ModuleNotFoundError):
            raise CannotLoad(target, f"{error}; searched in {_working_directory()}, and in sys.path") from None
        report(error.with_traceback(trace))
        reason = f"its code raised {type(error).__name__}"
        if isinstance(error, SystemExit):
            reason = (
                'importing it ended the process; put the code that runs the program under `if __name__ == "__main__":`'
            )
        raise CannotLoad(target, reason) from None


def faults_of(container: Container, target: str) -> list[Fault]:
    """
    Return the faults that `validate()` finds in *container*.

    Raises:
        CannotLoad: The user's code raised another exception.
    """
    with _reporting(target):
        try:
            container.validate()
        except InvalidContainer as error:
            return [fault for fault in error.exceptions if isinstance(fault, Fault)]
    return []
