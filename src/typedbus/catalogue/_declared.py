"""Finds the channels that modules declare."""

from __future__ import annotations

import ast
import inspect
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType

import attrs

from typedbus._base.shown_files import shown_file
from typedbus._base.static import is_a
from typedbus._channels.channel import AnyChannel
from typedbus.catalogue._model import CatalogueChannel, Parameter
from typedbus.catalogue._types import default_text, type_text


@attrs.frozen
class Declaration:
    """
    An assignment or a function that a module binds to a channel.

    Attributes:
        channel: The channel.
        key: Its module and attribute.
        file: The file, relative to the working directory.
        line: The line.
        is_creation: Whether the channel is created there, and not assigned to a second name.
        doc: The text below the assignment.
    """

    channel: AnyChannel
    key: str
    file: str
    line: int
    is_creation: bool
    doc: str


def declarations(module: ModuleType, file: str, tree: ast.Module) -> Iterator[Declaration]:
    """Yield the channels of the variables of *module* and of its classes, in the order of the source."""
    pending: deque[tuple[ast.stmt, ast.stmt | None, Mapping[str, object], str]] = deque(
        (statement, following, vars(module), "") for statement, following in _with_next(tree.body)
    )
    while pending:
        statement, following, namespace, path = pending.popleft()
        inner: list[ast.stmt] = []
        names: list[tuple[str, bool]] = []
        match statement:
            case ast.ClassDef(name=name, body=inner):
                cls = namespace.get(name)
                namespace, path = (vars(cls) if is_a(cls, type) else {}), f"{path}{name}."
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                names = [(name, True)]
            case ast.Assign(targets=targets, value=value):
                names = [(target.id, isinstance(value, ast.Call)) for target in targets if isinstance(target, ast.Name)]
            case ast.AnnAssign(target=ast.Name(id=name), value=value):
                names = [(name, isinstance(value, ast.Call))]
            case ast.ImportFrom(names=aliases):
                names = [
                    (alias.asname or alias.name, False)
                    for alias in aliases
                    if _is_exported(module, file, alias.name, alias.asname)
                ]
            case ast.If(body=body, orelse=other):
                inner = [*body, *other]
            case ast.Try(body=body, handlers=handlers, orelse=other, finalbody=final):
                inner = [*body, *(line for handler in handlers for line in handler.body), *other, *final]
            case ast.With(body=body):
                inner = body
            case _:
                pass
        for name, is_creation in names:
            channel = namespace.get(name)
            if is_a(channel, AnyChannel):
                doc = _text_of(following) if is_creation else ""
                yield Declaration(
                    channel, f"{module.__name__}:{path}{name}", shown_file(file), statement.lineno, is_creation, doc
                )
        pending.extendleft((line, after, namespace, path) for line, after in reversed(list(_with_next(inner))))


def _is_exported(module: ModuleType, file: str, name: str, new_name: str | None) -> bool:
    """Return whether an import makes *name* part of *module*, as type checkers understand it."""
    exported: object = getattr(module, "__all__", ())
    is_listed = isinstance(exported, (list, tuple)) and (new_name or name) in exported
    return is_listed or name == new_name or Path(file).name == "__init__.py"


def _with_next(statements: Sequence[ast.stmt]) -> Iterator[tuple[ast.stmt, ast.stmt | None]]:
    return zip(statements, [*statements[1:], None], strict=False)


def _text_of(statement: ast.stmt | None) -> str:
    """Return the string that *statement* consists of, without its indentation, or ""."""
    match statement:
        case ast.Expr(value=ast.Constant(value=str(text))):
            return inspect.cleandoc(text)
        case _:
            return ""


def described(channel: AnyChannel, found: list[Declaration]) -> CatalogueChannel:
    """Return the entry of *channel*, without its uses, from all its declarations."""
    home = next((one for one in found if one.is_creation), found[0])
    parameters, result = _signature_of(channel)
    return CatalogueChannel(
        home.key,
        channel.name,
        home.file,
        home.line,
        doc=channel.doc or home.doc,
        deprecated=channel.deprecated,
        is_async=channel.is_async,
        parameters=parameters,
        result=result,
        aliases=tuple(sorted({one.key for one in found} - {home.key})),
    )


def signature_text(channel: AnyChannel) -> str:
    """Return the parameters and the result of *channel*, as in the declaration of a function."""
    parameters, result = _signature_of(channel)
    return CatalogueChannel("", channel.name, "", 0, parameters=parameters, result=result).signature


def _signature_of(channel: AnyChannel) -> tuple[tuple[Parameter, ...] | None, str]:
    """Return the parameters of *channel*, or None if only type checkers know them, and the type of its result."""
    signature = channel.signature()
    parameters = None
    if signature is not None:
        parameters = tuple(
            Parameter(
                parameter.name,
                parameter.kind.name.lower(),
                "" if parameter.annotation is parameter.empty else type_text(parameter.annotation),
                None if parameter.default is parameter.empty else default_text(parameter.default),
            )
            for parameter in signature.parameters.values()
        )
    result = "" if signature is None or signature.return_annotation is signature.empty else signature.return_annotation
    return parameters, result if result == "" else type_text(result)
