"""
Derives the typed declaration of a channel name from its listeners and publishers.

The result is a guess to be reviewed: annotations may be missing, or contradict
each other. An unknown type becomes `object`, with a comment that gives the reason,
and not Any, so that type checkers report its uses.
"""

from __future__ import annotations

import ast
import inspect
import keyword
import operator
import re
import sys
import typing
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, Final, TypeGuard

from typedbus._base.hints import signature_of

_EMPTY: Final = inspect.Parameter.empty
_FIXED: Final = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
    inspect.Parameter.KEYWORD_ONLY,
)

_POSITIONAL: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class _Shown:
    """Stands for an annotation or a default in a signature; its repr is the given text."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def _is_said(annotation: object) -> bool:
    return annotation is not _EMPTY and annotation is not Any


class _Types:
    """The annotations of a declaration, and the imports that they need."""

    def __init__(self) -> None:
        self.imports: set[str] = set()
        self.comments: list[str] = []

    def text(self, annotation: object) -> str:
        """Return *annotation* as source code that relies on the imports."""
        if isinstance(annotation, str):
            return annotation
        text = f"{annotation.__module__}.{annotation.__qualname__}" if _is_class(annotation) else repr(annotation)
        for part in sorted(_classes_in(annotation), key=lambda one: -len(one.__module__)):
            module, name = part.__module__, part.__qualname__
            text, times = re.subn(rf"(?<![\w.]){re.escape(module)}\.(?={re.escape(name)}\b)", "", text)
            if times and module not in ("builtins", "__main__") and "<locals>" not in name:
                self.imports.add(f"from {_home_of(part)} import {name.partition('.')[0]}")
        if "typing." in text:
            self.imports.add("import typing")
        return text

    def one_of(self, annotations: Iterable[object], what: str) -> str:
        """Return the type of the parameter *what*; `object` if it is unknown or listeners differ."""
        said = list(dict.fromkeys(self.text(one) for one in annotations if _is_said(one)))
        if len(said) == 1:
            return said[0]
        told = f"listeners differ about it: {', '.join(said)}" if said else "nobody says what it is"
        self.comments.append(f"# {what}: {told}")
        return "object"

    def any_of(self, annotations: Iterable[object]) -> str:
        """Return the union of the result types of the listeners."""
        said = [one for one in annotations if _is_said(one)]
        if not said:
            self.comments.append("# the result: nobody says what it is")
            return "object"
        return " | ".join(dict.fromkeys(self.text(one) for one in said))


def _is_class(annotation: object) -> TypeGuard[type]:
    return isinstance(annotation, type) and typing.get_origin(annotation) is None


def _home_of(part: type) -> str:
    """Return the module to import *part* from, preferably a public parent package."""
    home, top = part.__module__, part.__qualname__.partition(".")[0]
    above, _, last = home.rpartition(".")
    while above and last.startswith("_"):
        if hasattr(sys.modules.get(above), top):
            home = above
        above, _, last = above.rpartition(".")
    return home


def _classes_in(annotation: object) -> Iterable[type]:
    for part in (annotation, typing.get_origin(annotation)):
        if _is_class(part):
            yield part
    for argument in typing.get_args(annotation):
        inner = argument if isinstance(argument, list) else [argument]
        for one in inner:
            yield from _classes_in(one)


def known_signature(listener: Callable[..., object]) -> inspect.Signature | None:
    """Return the signature of *listener*, or None if it is not available."""
    try:
        return signature_of(listener)
    except (TypeError, ValueError):
        return None


def _is_closed(signature: inspect.Signature) -> bool:
    """Return whether *signature* restricts the arguments of a publish."""
    return not any(one.kind is inspect.Parameter.VAR_POSITIONAL for one in signature.parameters.values())


def variable_for(name: Hashable) -> str:
    """Return a name for the variable of the channel *name*."""
    made = re.sub(r"\W+", "_", name if isinstance(name, str) else repr(name)).strip("_") or "channel"
    return f"_{made}" if made[0].isdigit() else f"{made}_" if keyword.iskeyword(made) else made


def declaration_of(
    name: Hashable, listeners: Sequence[Callable[..., object]], calls: Sequence[tuple[int, tuple[str, ...]]]
) -> str:
    """
    Return the code that declares the channel *name*.

    Args:
        name: The name of the channel.
        listeners: The listeners of the channel.
        calls: The publishes: each as the number of positional arguments, and the names of the others.
    """
    types = _Types()
    signatures = [one for one in map(known_signature, listeners) if one is not None]
    fixed = [[one for one in signature.parameters.values() if one.kind in _FIXED] for signature in signatures]
    widest = max(fixed, key=len, default=[])
    positional = max((count for count, _ in calls), default=None)
    named = {word for _, words in calls for word in words}
    # Without listeners, or if all of them accept any arguments, the arguments are unknown.
    is_open = not any(_is_closed(signature) for signature in signatures)
    if is_open and calls and not widest:
        # The arguments that all calls give, positional ones first.
        widest = [
            *[inspect.Parameter(f"arg{at}", inspect.Parameter.POSITIONAL_ONLY) for at in range(_least(calls))],
            *[
                inspect.Parameter(word, inspect.Parameter.KEYWORD_ONLY)
                for word in sorted(named)
                if all(word in words for _, words in calls)
            ],
        ]
    parameters = []
    for at, one in enumerate(widest):
        by_position = one.kind in _POSITIONAL and (positional is None or at < positional)
        # Arguments that calls give only by name are passed on by name: some listeners may take them in **kwargs.
        by_name = one.kind is inspect.Parameter.KEYWORD_ONLY or (one.name in named and not by_position)
        others = [
            other
            for those in fixed
            for other in ([other for other in those if other.name == one.name] if by_name else those[at : at + 1])
            if by_name or other.kind in _POSITIONAL
        ]
        is_shared = len(others) == len(fixed) and all(other.name == one.name for other in others)
        defaults = [other.default for other in others if other.default is not _EMPTY]
        if defaults and not by_position and one.name not in named:
            # No publisher gives this argument: each listener keeps its own default.
            continue
        is_omitted = any((by_name or at >= count) and one.name not in words for count, words in calls)
        is_sure = (
            is_shared and len(defaults) == len(others) and all(_is_same_text(other, defaults[0]) for other in defaults)
        )
        if (is_omitted and not is_sure) or (by_position and one.name in named and not is_shared):
            # Listeners differ about this parameter. It is left to the variadic parameters, which pass on
            # exactly the arguments of a call.
            if by_name:
                continue
            break
        annotation = types.one_of((other.annotation for other in others), one.name)
        default = _default(defaults[0]) if defaults and (is_omitted or one.default is not _EMPTY) else _EMPTY
        kind = inspect.Parameter.KEYWORD_ONLY if by_name and calls else one.kind
        parameters.append(one.replace(kind=kind, annotation=_Shown(annotation), default=default))
    parameters.extend(_rest(types, signatures, parameters, calls))
    parameters.sort(key=operator.attrgetter("kind"))
    result = types.any_of(signature.return_annotation for signature in signatures)
    variable = variable_for(name)
    told = name if isinstance(name, str) else repr(name)
    if told is not name:
        types.comments.append("# the name is no string, as a typed channel's is: who says it cannot meet the channel")
    is_plain = all(one.default is _EMPTY and one.kind in _POSITIONAL and one.name not in named for one in parameters)
    if is_plain:
        takes = (
            f"[{', '.join(repr(one.annotation) for one in parameters)}]"
            if parameters or calls or not is_open
            else "..."
        )
        code = [f"{variable} = Channel[{takes}, {result}]({_quoted(told)})"]
    else:
        code = ["@Channel.declare", f"def {variable}{_header(parameters, named)} -> {result}: ..."]
        if variable != told:
            code += ["", f"{variable}.name = {_quoted(told)}"]
    return "\n".join([*sorted(types.imports), *types.comments, *code])


def _least(calls: Sequence[tuple[int, tuple[str, ...]]]) -> int:
    """Return the number of arguments that every call gives by position."""
    return min((count for count, _ in calls), default=0)


def _rest(
    types: _Types,
    signatures: Sequence[inspect.Signature],
    parameters: Sequence[inspect.Parameter],
    calls: Sequence[tuple[int, tuple[str, ...]]],
) -> list[inspect.Parameter]:
    """
    Return the variadic parameters that a declaration needs in addition to *parameters*.

    These are the ones that some call needs, or, if no call is known, the ones that every listener has.
    """
    places = sum(one.kind in _POSITIONAL for one in parameters)
    names = {one.name for one in parameters}
    rest: list[inspect.Parameter] = []
    for kind, usual, is_needed in (
        (inspect.Parameter.VAR_POSITIONAL, "args", any(count > places for count, _ in calls)),
        (inspect.Parameter.VAR_KEYWORD, "kwargs", any(not names.issuperset(words) for _, words in calls)),
    ):
        own = [one for signature in signatures for one in signature.parameters.values() if one.kind is kind]
        has_fixed = any(one.kind in _FIXED for signature in signatures for one in signature.parameters.values())
        if is_needed or (not calls and has_fixed and own and len(own) == len(signatures)):
            said = [one.annotation for one in own if _is_said(one.annotation)]
            text = (
                types.text(said[0])
                if said and len(set(map(repr, said))) == 1 and len(own) == len(signatures)
                else "object"
            )
            taken = names | {one.name for one in rest}
            free = [
                name for name in (*(one.name for one in own), usual, f"{usual}_", f"_{usual}_") if name not in taken
            ]
            rest.append(inspect.Parameter(free[0], kind, annotation=_Shown(text)))
    return rest


def _is_same_text(one: object, other: object) -> bool:
    """Whether two defaults are equal and can be written as source code."""
    return _default(one) is not ... and type(one) is type(other) and repr(one) == repr(other)


def _header(parameters: Sequence[inspect.Parameter], named: set[str]) -> str:
    """Return the parameter list; parameters before the first that is published by name are positional-only."""
    made: list[inspect.Parameter] = []
    is_open = False
    for one in parameters:
        is_open = is_open or one.name in named or one.kind not in _POSITIONAL
        made.append(one if is_open else one.replace(kind=inspect.Parameter.POSITIONAL_ONLY))
    return str(inspect.Signature(made))


def _default(value: object) -> object:
    if value is _EMPTY:
        return _EMPTY
    try:
        ast.literal_eval(repr(value))
    except (ValueError, SyntaxError):
        return ...
    return value


def _quoted(text: str) -> str:
    return f'"{text}"' if repr(text) == f"'{text}'" and '"' not in text else repr(text)
