"""
Defaults for the options of commands, from a file in the working directory.

The file is typedbus.toml, or else pyproject.toml with its table [tool.typedbus].
No other place is searched, so that a reader of a command in a script knows where
to look. The keys are the names of the options of `typedbus run`, and `target`;
the command line overrides them.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import click

from typedbus._os.input import read_input

TARGET: Final = "target"
_OWN: Final = Path("typedbus.toml")
_PROJECT: Final = Path("pyproject.toml")


class InvalidDefaults(click.ClickException):
    """
    Raised for an invalid typedbus.toml or [tool.typedbus]; the exit status is 2.

    Attributes:
        faults: One line for each fault, with file, line and key.
    """

    exit_code = 2

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(["the defaults are invalid; nothing was done", *(f"- {fault}" for fault in faults)]))
        self.faults = tuple(faults)


def defaults(ctx: click.Context) -> dict[str, object]:
    """
    Return the defaults from the working directory for the parameters of the command of *ctx*, by Python name.

    Raises:
        InvalidDefaults: The file is invalid; this reports all faults, including those for other commands.
    """
    file, text, table, above = _read()
    run = _run_of(ctx)
    params: dict[str, click.Parameter] = {
        _key(param): param for param in run.params if isinstance(param, click.Option) and param.expose_value
    }
    params[TARGET] = next(param for param in run.params if isinstance(param, click.Argument))
    values: dict[str, object] = {}
    faults: list[tuple[str, str]] = []
    for key, value in table.items():
        param = params.get(key)
        if param is None:
            similar = difflib.get_close_matches(key, params, 1)
            hint = f"did you mean {similar[0]}?" if similar else f"the options are {', '.join(sorted(params))}"
            faults.append((key, f"{key} is not an option of `typedbus run`; {hint}"))
            continue
        if (problem := _type_problem(param, value)) is not None:
            # A value of `set` may be a secret.
            actual = f", not {value!r}" if not isinstance(value, (dict, list)) and key != "set" else ""
            faults.append((key, f"{key} {problem}{actual}"))
            continue
        if getattr(param, "multiple", False) or key == TARGET:
            value = value if isinstance(value, list) else [value]  # noqa: PLW2901  # a list, as click takes it
        try:
            param.type_cast_value(ctx, value)
        except click.BadParameter as error:
            faults.append((key, f"{key}: {error.message}"))
        values[str(param.name)] = value
    if faults:
        from typedbus.settings._lines import lines_of  # only needed for faults, and not cheap to import

        lines = lines_of(text)
        places = sorted((lines.get((*above, key), 0), problem) for key, problem in faults)
        raise InvalidDefaults([f"{file}:{line}: {problem}" for line, problem in places])
    return values


def source_of_defaults() -> Path | None:
    """
    Return the file that `defaults` reads; None if neither file has defaults for typedbus.

    Raises:
        InvalidDefaults: The file cannot be read.
    """
    file, text, table, _ = _read()
    return file if text and (table or file == _OWN) else None


def _read() -> tuple[Path, str, Mapping[str, object], tuple[str, ...]]:
    """Return the file with defaults, its text, the table of defaults, and the keys of the tables around it."""
    for file, above in ((_OWN, ()), (_PROJECT, ("tool", "typedbus"))):
        try:
            # Some editors write a byte order mark, which TOML does not allow.
            text = read_input(file).decode("utf-8-sig").replace("\r\n", "\n")
            table: object = tomllib.loads(text)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise InvalidDefaults([f"{file}: cannot be read: {error.strerror}"]) from None
        except (ValueError, RecursionError) as error:
            raise InvalidDefaults([f"{file}: is not valid TOML: {error}"]) from None
        for key in above:
            table = table.get(key, {}) if isinstance(table, dict) else table
        if not isinstance(table, dict):
            raise InvalidDefaults([f"{file}: {'.'.join(above)} must be a table"])
        return file, text, table, above
    return _OWN, "", {}, ()


def _run_of(ctx: click.Context) -> click.Command:
    group = ctx.find_root().command
    assert isinstance(group, click.Group)
    return group.commands["run"]


def _key(param: click.Parameter) -> str:
    return max(param.opts, key=len).removeprefix("--")


def _type_problem(param: click.Parameter, value: object) -> str | None:
    """Return which type the TOML value of *param* must have, as text; None if *value* has it."""
    if any(isinstance(text, str) and "\0" in text for text in (value if isinstance(value, list) else [value])):
        return "must be a string without a null character"
    if isinstance(param, click.Option) and param.is_flag:
        return None if isinstance(value, bool) else "must be true or false"
    if isinstance(param, click.Argument) or (isinstance(param, click.Option) and param.multiple):
        texts = value if isinstance(value, list) else [value]
        return (
            None if texts and all(isinstance(text, str) for text in texts) else "must be a string or a list of strings"
        )
    if isinstance(param.type, click.IntRange):
        return None if isinstance(value, int) and not isinstance(value, bool) else "must be a whole number"
    if param.type is click.FLOAT:
        return None if isinstance(value, (int, float)) and not isinstance(value, bool) else "must be a number"
    if param.type.name == "account":
        return None if isinstance(value, (str, int)) and not isinstance(value, bool) else "must be a name or an id"
    return None if isinstance(value, str) else "must be a string in quotes"
