"""
Derives the typed declaration of a channel that replaces a signal.

Its parameters are keyword-only, since the receivers of a signal take its arguments by
name and in any order; blinker passes the sender by position. The result is a guess to be
reviewed, as is the declaration of a channel that replaces a name of CherryPy's bus.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from typedbus._base.static import MISSING
from typedbus.porting._declarations import Types, body_for, is_specific, known_signature, variable_for
from typedbus.porting._modules import short
from typedbus.porting._source import Send, takes_sender_by_position

_BY_NAME: Final = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_AWAITED: Final = ("asend", "asend_robust", "send_async")
_LONG: Final = 100


def signal_declaration(
    signal: Any, variable: str, receivers: Iterable[Callable[..., object]], sends: Sequence[Send]
) -> str:
    """
    Return the code that declares the channel.

    Args:
        signal: The signal; those of Celery list their arguments.
        variable: Its variable.
        receivers: Its receivers.
        sends: The calls that send it.
    """
    types = Types()
    is_by_position = takes_sender_by_position(signal)
    signatures = [signature for signature in map(known_signature, receivers) if signature is not None]
    names = [name for send in sends for name in send.arguments]
    if not sends:
        types.comments.append("# no call was found that sends it")
        provided: Iterable[str] = getattr(signal, "providing_args", None) or ()
        names += [*(["sender"] if signatures or provided or is_by_position else []), *sorted(provided)]
        for signature in signatures:
            # Django passes the signal itself as well.
            own = [name for name, each in signature.parameters.items() if each.kind in _BY_NAME][is_by_position:]
            names += [name for name in own if name not in ("sender", "signal")]
    parameters: list[str] = []
    untyped: list[str] = []
    # The sender comes first, if it is sent at all.
    for name in sorted(dict.fromkeys(names), key=lambda name: name != "sender"):
        in_sends = [send.arguments[name] for send in sends if name in send.arguments]
        annotations = [annotation for annotation in in_sends if annotation is not MISSING]
        if not annotations:
            by_receivers = [each.parameters[name].annotation for each in signatures if name in each.parameters]
            annotations = [annotation for annotation in by_receivers if is_specific(annotation)]
        texts = list(dict.fromkeys(map(types.text, annotations)))
        if not texts:
            untyped.append(name)
        text = " | ".join(texts) or "object"
        omitting = [send.place for send in sends if name not in send.arguments]
        if omitting:
            types.comments.append(f"# {name}: it is not given at {short(omitting[0])}")
            text += " = None" if text in ("object", "None") or text.endswith("| None") else " | None = None"
        parameters.append(f"{name}: {text}")
    if any(send.has_others for send in sends) or not (sends or names):
        parameters.append("**kwargs: object")
    results = [signature.return_annotation for signature in signatures]
    is_used = any(send.is_result_used for send in sends)
    result = types.of_result(results) if is_used or any(map(is_specific, results)) else "None"
    awaited = [send.method in _AWAITED for send in sends]
    if any(awaited) and not all(awaited):
        types.comments.append("# it is sent both with and without an await")
    if untyped:
        types.comments.append(f"# unknown types: {', '.join(untyped)}")
    positional, named = parameters[:is_by_position], parameters[is_by_position:]
    slash = ["/"] if positional else []
    star = ["*"] if named and not named[0].startswith("**") else []
    parameters = [*positional, *slash, *star, *named]
    variable = variable_for(variable)
    header = f"{variable}({', '.join(parameters)}) -> {result}:"
    if len(header) > _LONG:
        header = "\n    ".join([f"{variable}(", *(f"{part}," for part in parameters)]) + f"\n) -> {result}:"
    header += body_for(result)
    code = ["@AsyncChannel.declare", f"async def {header}"] if any(awaited) else ["@Channel.declare", f"def {header}"]
    return "\n".join([*sorted(types.imports), *types.comments, *code])
