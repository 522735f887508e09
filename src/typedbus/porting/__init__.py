"""
Reports the signals of blinker, Django and Celery in an application, as a step to typed channels.

``python -m typedbus.porting MODULE...`` imports the modules and prints each signal with
its receivers, the calls that connect and send it, and the declaration of a channel to
replace it. For a site of Django, name the module that sets it up and that of its URLs:
``python -m typedbus.porting shop.wsgi shop.urls``.

The report has the receivers that are connected after the import, and those that only the source
connects. Calls are found in the source of the named packages, and of other modules that the import
loads, except installed ones. The signal of a call is found if it is a variable of the module, an
attribute of such a variable or of ``self``, imported or assigned in the function, or named in the
namespace of blinker.
"""

from __future__ import annotations

import argparse
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import ModuleType
from typing import Any

import attrs

from typedbus._base.exports import export
from typedbus._base.failures import describe
from typedbus.porting._declarations import signature_text
from typedbus.porting._modules import CannotReport, import_quietly, is_installed, short, trees_of
from typedbus.porting._scope import definition_of
from typedbus.porting._signal_declaration import signal_declaration
from typedbus.porting._source import Connection, Definition, Handover, Send, definitions, uses

__all__ = ["SignalReceiver", "SignalReport", "report"]


@attrs.frozen
class SignalReceiver:
    """
    A receiver of a signal.

    Attributes:
        name: Its module and qualified name, or its source.
        signature: Its parameters and result.
        defined: File and line of its definition; None if that is unknown.
        connected: File and line of the call that connects it; None if that was not found.
        sender: The only sender that it receives the signal from, as in the source; None for any sender.
        is_live: Whether it is connected now.
    """

    name: str
    signature: str
    defined: str | None
    connected: str | None
    sender: str | None
    is_live: bool


@attrs.frozen
class SignalReport:
    """
    A signal; its `str` is the report on it, with places relative to the working directory.

    Attributes:
        name: Its module and variable.
        library: The package of its class.
        place: File and line where it is created; None if that was not found.
        receivers: First the connected receivers, in the order of the library, then those that only the source connects.
        sends: File, line and method of each call that sends it.
        handovers: File and line of each call that passes it to a function, which may send or connect it.
        declaration: The code that declares the channel; None for a signal of an installed package.
    """

    name: str
    library: str
    place: str | None
    receivers: tuple[SignalReceiver, ...]
    sends: tuple[tuple[str, str], ...]
    handovers: tuple[str, ...]
    declaration: str | None

    def __str__(self) -> str:
        lines = [f"{self.name}, of {self.library}" + (f", at {short(self.place)}" if self.place else "")]
        for receiver in self.receivers:
            line = f"  {receiver.name}{receiver.signature}"
            if receiver.connected is not None:
                line += f" {'connected' if receiver.is_live else 'in the source'} at {short(receiver.connected)}"
            elif receiver.defined is not None:
                line += f" defined at {short(receiver.defined)}"
            lines.append(f"{line} for the sender {receiver.sender}" if receiver.sender else line)
        if not self.receivers:
            lines.append("  no receivers")
        lines += [
            f"  sent at {short(place)}" + (f" by {method}" if method != "send" else "") for place, method in self.sends
        ]
        lines += [f"  passed to a function at {short(place)}" for place in self.handovers]
        declaration = f"# {self.name.partition('.')[0]} sends it" if self.declaration is None else self.declaration
        return "\n".join([*lines, *(f"    {line}" for line in declaration.splitlines())])


def report(modules: Iterable[ModuleType]) -> list[SignalReport]:
    """
    Return a report on each signal that *modules* create, connect or send, sorted by name.

    No receiver is called, and no signal is changed.

    Args:
        modules: Modules of an application, all loaded; the report reads their source.
    """
    trees = list(trees_of(modules))
    own = [definition for tree in trees for definition in definitions(*tree)]
    used = [use for tree in trees for use in uses(*tree)]
    # By identity: a signal may define its equality.
    signals = {id(signal): signal for signal in [*(each.signal for each in own), *(signal for signal, _ in used)]}
    reports: list[SignalReport] = []
    for signal in signals.values():
        sends = [use for other, use in used if other is signal and isinstance(use, Send)]
        connections = [use for other, use in used if other is signal and isinstance(use, Connection)]
        definition = _definition_of(signal, own) or _definition_of(signal, _elsewhere(signal))
        name = repr(signal) if definition is None else definition.name
        functions = list(_connected(signal))
        receivers: list[SignalReceiver] = []
        for function in functions:
            defined = definition_of(function)
            calls: list[tuple[str | None, str | None]]
            calls = [(call.place, call.sender) for call in connections if defined and call.definition == defined]
            described = describe(function), signature_text(function), defined
            receivers += [
                SignalReceiver(*described, at, sender, is_live=True) for at, sender in calls or [(None, None)]
            ]
        places = {receiver.connected for receiver in receivers}
        receivers += [
            SignalReceiver(call.receiver, "", call.definition, call.place, call.sender, is_live=False)
            for call in connections
            if call.place not in places
        ]
        is_own = definition is None or definition in own
        variable = name.rpartition(".")[2]
        reports.append(
            SignalReport(
                name,
                type(signal).__module__.partition(".")[0],
                None if definition is None else definition.place,
                tuple(dict.fromkeys(receivers)),  # connected twice, for two senders of one call
                tuple((send.place, send.method) for send in sends),
                tuple(use.place for other, use in used if other is signal and isinstance(use, Handover)),
                signal_declaration(signal, variable, functions, sends) if is_own else None,
            )
        )
    return sorted(reports, key=lambda each: each.name)


def _definition_of(signal: object, among: Iterable[Definition]) -> Definition | None:
    """Return the assignment that creates *signal*, or else the first assignment of it; None if there is none."""
    own = [definition for definition in among if definition.signal is signal]
    return next((definition for definition in own if definition.is_creation), own[0] if own else None)


def _elsewhere(signal: object) -> Iterator[Definition]:
    """Yield the assignments in all loaded modules that have *signal* as a variable."""
    for module in list(sys.modules.values()):
        if isinstance(module, ModuleType) and any(value is signal for value in list(vars(module).values())):
            for tree in trees_of([module]):
                yield from definitions(*tree)


def _connected(signal: Any) -> Iterator[Callable[..., object]]:
    """
    Yield the receivers of *signal*.

    The contents of the attribute `receivers` are not documented. In blinker it is a dict, whose values are
    the receivers; in Django and Celery it is a list of tuples, which begin with a key and the receiver.
    """
    receivers = signal.receivers
    for entry in list(receivers.values()) if isinstance(receivers, dict) else [entry[1] for entry in receivers]:
        receiver = entry() if isinstance(entry, weakref.ref) else entry
        if receiver is not None:
            yield receiver


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report on the modules that the command line names; return 2 if one cannot be imported."""
    parser = argparse.ArgumentParser(
        "python -m typedbus.porting",
        description="List the signals of blinker, Django and Celery, with a typed channel for each.",
    )
    parser.add_argument("modules", metavar="MODULE", nargs="+", help="a module of the application, which is imported")
    names: list[str] = parser.parse_args(arguments).modules
    before = set(sys.modules)
    try:
        for name in names:
            import_quietly(name, name)
    except CannotReport as error:
        print(error, file=sys.stderr)
        return 2
    modules = [
        module
        for key, module in list(sys.modules.items())
        if any(f"{key}.".startswith(f"{name}.") for name in names) or (key not in before and not is_installed(module))
    ]
    reports = report(modules)
    print(f"{len(reports) or 'no'} signal{'' if len(reports) == 1 else 's'}")
    for each in reports:
        print(f"\n{each}")
    return 0


export(globals())
