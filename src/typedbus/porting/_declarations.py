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
from typing import Any, Final, TypeAlias, TypeGuard

from typedbus._base.hints import signature_of

_EMPTY: Final = inspect.Parameter.empty
_FIXED: Final = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
    inspect.Parameter.KEYWORD_ONLY,
)

_POSITIONAL: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)

#: A call that publishes: the number of its positional arguments, and the names of its keyword arguments.
Call: TypeAlias = tuple[int, tuple[str, ...]]


class SourceText:
    """Stands for an annotation or a default in a signature; its repr is the given source code."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def is_specific(annotation: object) -> bool:
    """Return whether *annotation* is present, and is not Any."""
    return annotation is not _EMPTY and annotation is not Any


class Types:
    """The annotations of a declaration, and the imports that they need."""

    def __init__(self) -> None:
        self.imports: set[str] = set()
        self.comments: list[str] = []

    def text(self, annotation: object) -> str:
        """Return *annotation* as source code that relies on the imports."""
        if isinstance(annotation, str):
            return annotation
        text = f"{annotation.__module__}.{annotation.__qualname__}" if _is_class(annotation) else repr(annotation)
        # Longer module names first: a shorter one may be the beginning of a longer one.
        for part in sorted(classes_in(annotation), key=lambda part: -len(part.__module__)):
            module, name = part.__module__, part.__qualname__
            text, count = re.subn(rf"(?<![\w.]){re.escape(module)}\.(?={re.escape(name)}\b)", "", text)
            if count and module not in ("builtins", "__main__") and "<locals>" not in name:
                self.imports.add(f"from {_public_module_of(part)} import {name.partition('.')[0]}")
        if "typing." in text:
            self.imports.add("import typing")
        return text

    def of_parameter(self, annotations: Iterable[object], name: str) -> str:
        """Return the type of the parameter *name*; `object` if no listener annotates it, or they differ."""
        texts = list(dict.fromkeys(self.text(annotation) for annotation in annotations if is_specific(annotation)))
        if len(texts) == 1:
            return texts[0]
        reason = f"listeners have different annotations: {', '.join(texts)}" if texts else "no listener annotates it"
        self.comments.append(f"# {name}: {reason}")
        return "object"

    def of_result(self, annotations: Iterable[object]) -> str:
        """Return the union of the result types of the listeners; `object` if no listener annotates it."""
        texts = dict.fromkeys(self.text(annotation) for annotation in annotations if is_specific(annotation))
        if not texts:
            self.comments.append("# the result: no listener annotates it")
            return "object"
        return " | ".join(texts)


def _is_class(annotation: object) -> TypeGuard[type]:
    return isinstance(annotation, type) and typing.get_origin(annotation) is None


def _public_module_of(part: type) -> str:
    """Return the module to import *part* from, preferably a public parent package."""
    module, top = part.__module__, part.__qualname__.partition(".")[0]
    parent, _, last = module.rpartition(".")
    while parent and last.startswith("_"):
        if hasattr(sys.modules.get(parent), top):
            module = parent
        parent, _, last = parent.rpartition(".")
    return module


def classes_in(annotation: object) -> Iterable[type]:
    """Yield the classes that *annotation* consists of; a class that has two places in it comes twice."""
    for part in (annotation, typing.get_origin(annotation)):
        if _is_class(part):
            yield part
    for argument in typing.get_args(annotation):
        # The parameters of a Callable are a list.
        for part in argument if isinstance(argument, list) else [argument]:
            yield from classes_in(part)


def known_signature(listener: Callable[..., object]) -> inspect.Signature | None:
    """Return the signature of *listener*, or None if it is not available."""
    try:
        return signature_of(listener)
    except (TypeError, ValueError):
        return None


def signature_text(listener: Callable[..., object]) -> str:
    """Return the signature of *listener* as text; ``(...)`` if it is not available."""
    return str(known_signature(listener) or "(...)")


def _is_closed(signature: inspect.Signature) -> bool:
    """Return whether *signature* limits the number of positional arguments of a publish."""
    return not any(parameter.kind is inspect.Parameter.VAR_POSITIONAL for parameter in signature.parameters.values())


def variable_for(name: Hashable) -> str:
    """Return a name for the variable of the channel *name*."""
    variable = re.sub(r"\W+", "_", name if isinstance(name, str) else repr(name)).strip("_") or "channel"
    if variable[0].isdigit():
        return f"_{variable}"
    return f"{variable}_" if keyword.iskeyword(variable) else variable


def declaration_of(name: Hashable, listeners: Sequence[Callable[..., object]], calls: Sequence[Call]) -> str:
    """
    Return the code that declares the channel *name*.

    Args:
        name: The name of the channel.
        listeners: The listeners of the channel.
        calls: The calls that publish on it.
    """
    types = Types()
    signatures = [signature for signature in map(known_signature, listeners) if signature is not None]
    parameters = _parameters(types, signatures, calls)
    result = types.of_result(signature.return_annotation for signature in signatures)
    variable = variable_for(name)
    channel_name = name if isinstance(name, str) else repr(name)
    if channel_name is not name:
        types.comments.append(
            "# a typed channel needs a string as its name: code that uses this name does not reach it"
        )
    keywords = {word for _, words in calls for word in words}
    is_plain = all(
        parameter.default is _EMPTY and parameter.kind in _POSITIONAL and parameter.name not in keywords
        for parameter in parameters
    )
    if is_plain:
        is_known = parameters or calls or any(map(_is_closed, signatures))
        takes = f"[{', '.join(repr(parameter.annotation) for parameter in parameters)}]" if is_known else "..."
        code = [f"{variable} = Channel[{takes}, {result}]({_quoted(channel_name)})"]
    else:
        named = "" if variable == channel_name else f"(name={_quoted(channel_name)})"
        header = f"def {variable}{_header(parameters, keywords)}"
        code = [f"@Channel.declare{named}", f"{header} -> {result}:{body_for(result)}"]
    return "\n".join([*sorted(types.imports), *types.comments, *code])


def body_for(result: str) -> str:
    """Return the body of a declaring function: mypy refuses ``...`` where None is not a result."""
    if {"None", "object", "Any"}.isdisjoint(result.split(" | ")):
        return "\n    raise NotImplementedError"
    return " ..."


def _parameters(
    types: Types, signatures: Sequence[inspect.Signature], calls: Sequence[Call]
) -> list[inspect.Parameter]:
    """Return parameters with which each of *calls* passes the same arguments to the listeners as before."""
    fixed = [
        [parameter for parameter in signature.parameters.values() if parameter.kind in _FIXED]
        for signature in signatures
    ]
    widest = max(fixed, key=len, default=[])
    most_positional = max((count for count, _ in calls), default=None)
    keywords = {word for _, words in calls for word in words}
    if not widest and calls and not any(map(_is_closed, signatures)):
        # No listener restricts the arguments, so they are those that all calls give.
        fewest_positional = min(count for count, _ in calls)
        common = [word for word in sorted(keywords) if all(word in words for _, words in calls)]
        widest = [
            *[inspect.Parameter(f"arg{at}", inspect.Parameter.POSITIONAL_ONLY) for at in range(fewest_positional)],
            *[inspect.Parameter(word, inspect.Parameter.KEYWORD_ONLY) for word in common],
        ]
    parameters: list[inspect.Parameter] = []
    for at, parameter in enumerate(widest):
        name = parameter.name
        by_position = parameter.kind in _POSITIONAL and (most_positional is None or at < most_positional)
        # Arguments that calls give only by name are passed on by name: some listeners may take them in **kwargs.
        by_name = parameter.kind is inspect.Parameter.KEYWORD_ONLY or (name in keywords and not by_position)
        if by_name:
            counterparts = [other for row in fixed for other in row if other.name == name]
        else:
            counterparts = [other for row in fixed for other in row[at : at + 1] if other.kind in _POSITIONAL]
        is_shared = len(counterparts) == len(fixed) and all(other.name == name for other in counterparts)
        defaults = [other.default for other in counterparts if other.default is not _EMPTY]
        if defaults and not by_position and name not in keywords:
            # No publisher gives this argument: each listener keeps its own default.
            continue
        is_omitted = any((by_name or at >= count) and name not in words for count, words in calls)
        has_one_default = (
            is_shared
            and len(defaults) == len(counterparts)
            and all(_is_same_text(default, defaults[0]) for default in defaults)
        )
        if (is_omitted and not has_one_default) or (by_position and name in keywords and not is_shared):
            # Listeners differ in this parameter. It is left to the variadic parameters, which pass on
            # exactly the arguments of a call.
            if by_name:
                continue
            break
        annotation = types.of_parameter((other.annotation for other in counterparts), name)
        default = _default(defaults[0]) if defaults and (is_omitted or parameter.default is not _EMPTY) else _EMPTY
        kind = inspect.Parameter.KEYWORD_ONLY if by_name and calls else parameter.kind
        parameters.append(parameter.replace(kind=kind, annotation=SourceText(annotation), default=default))
    parameters.extend(_variadic(types, signatures, parameters, calls))
    parameters.sort(key=operator.attrgetter("kind"))
    return parameters


def _variadic(
    types: Types,
    signatures: Sequence[inspect.Signature],
    parameters: Sequence[inspect.Parameter],
    calls: Sequence[Call],
) -> list[inspect.Parameter]:
    """
    Return the variadic parameters that a declaration needs in addition to *parameters*.

    These are the ones that some call needs, or, if no call is known, the ones that every listener has.
    """
    positional = sum(parameter.kind in _POSITIONAL for parameter in parameters)
    names = {parameter.name for parameter in parameters}
    all_parameters = [parameter for signature in signatures for parameter in signature.parameters.values()]
    has_fixed = any(parameter.kind in _FIXED for parameter in all_parameters)
    variadic: list[inspect.Parameter] = []
    for kind, usual, is_needed in (
        (inspect.Parameter.VAR_POSITIONAL, "args", any(count > positional for count, _ in calls)),
        (inspect.Parameter.VAR_KEYWORD, "kwargs", any(not names.issuperset(words) for _, words in calls)),
    ):
        own = [parameter for parameter in all_parameters if parameter.kind is kind]
        is_in_each = len(own) == len(signatures)
        if is_needed or (not calls and has_fixed and own and is_in_each):
            annotations = [parameter.annotation for parameter in own if is_specific(parameter.annotation)]
            is_agreed = is_in_each and len(set(map(repr, annotations))) == 1
            text = types.text(annotations[0]) if is_agreed else "object"
            taken = names | {parameter.name for parameter in variadic}
            candidates = (*(parameter.name for parameter in own), usual, f"{usual}_", f"_{usual}_")
            name = next(candidate for candidate in candidates if candidate not in taken)
            variadic.append(inspect.Parameter(name, kind, annotation=SourceText(text)))
    return variadic


def _is_same_text(first: object, second: object) -> bool:
    """Return whether two defaults are equal and can be written as source code."""
    return _default(first) is not ... and type(first) is type(second) and repr(first) == repr(second)


def _header(parameters: Sequence[inspect.Parameter], keywords: set[str]) -> str:
    """Return the parameter list; parameters before the first that is published by name are positional-only."""
    listed: list[inspect.Parameter] = []
    has_name = False
    for parameter in parameters:
        has_name = has_name or parameter.name in keywords or parameter.kind not in _POSITIONAL
        listed.append(parameter if has_name else parameter.replace(kind=inspect.Parameter.POSITIONAL_ONLY))
    return str(inspect.Signature(listed))


def _default(value: object) -> object:
    """Return *value*, or Ellipsis if it cannot be written as source code."""
    if value is _EMPTY:
        return _EMPTY
    try:
        ast.literal_eval(repr(value))
    except (ValueError, SyntaxError):
        return ...
    return value


def _quoted(text: str) -> str:
    return f'"{text}"' if repr(text) == f"'{text}'" and '"' not in text else repr(text)
