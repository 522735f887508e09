"""
Annotations as they were written, read without failing.

From Python 3.14 on (PEP 649) an annotation is evaluated when it is first read,
and reading it raises whatever the expression raises: NameError for a name that
is imported under ``TYPE_CHECKING`` alone. Here such an annotation is its text,
as it is everywhere under ``from __future__ import annotations``.
"""

from __future__ import annotations

import sys
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import inspect
    from collections.abc import Callable


def annotations_of(owner: Any) -> dict[str, Any]:
    """
    Return the annotations of a function, or those in the body of a class without its bases.

    None at all if one of them raises an error other than NameError or AttributeError where it is evaluated late.
    """
    if sys.version_info >= (3, 14):
        try:
            return dict(owner.__annotations__)
        except Exception:
            import annotationlib  # costs more than the rest of the package; seldom needed

            try:
                resolved = annotationlib.get_annotations(owner, format=annotationlib.Format.FORWARDREF)
                texts = annotationlib.get_annotations(owner, format=annotationlib.Format.STRING)
            except Exception:
                return {}
            return {name: texts[name] if _has_reference(one) else one for name, one in resolved.items()}
    written = vars(owner).get("__annotations__") if isinstance(owner, type) else owner.__annotations__
    return dict(written or {})


def signature_of(called: Callable[..., object]) -> inspect.Signature:
    """
    Return the signature of a callable, with its annotations evaluated; those that cannot be are texts.

    Raises:
        TypeError: It is not callable, or its `__signature__` is none.
        ValueError: It is written in C and has no signature.
    """
    import inspect  # as above

    try:
        return inspect.signature(called, eval_str=True)
    except Exception:
        # A text that is an annotation may hold any expression.
        if sys.version_info >= (3, 14):
            return _with_texts(called)
        return inspect.signature(called)


if sys.version_info >= (3, 14):

    def _with_texts(called: Callable[..., object]) -> inspect.Signature:
        """Return the signature of a callable whose annotations cannot be evaluated, where they are evaluated late."""
        import inspect

        import annotationlib

        try:
            signature = inspect.signature(called, annotation_format=annotationlib.Format.FORWARDREF)
            texts = inspect.signature(called, annotation_format=annotationlib.Format.STRING)
        except Exception:
            if not isinstance(called, types.FunctionType):
                raise
            bare = types.FunctionType(called.__code__, {}, called.__name__, called.__defaults__, called.__closure__)
            bare.__kwdefaults__ = called.__kwdefaults__
            return inspect.signature(bare)
        parameters = [
            one.replace(annotation=texts.parameters[name].annotation) if _has_reference(one.annotation) else one
            for name, one in signature.parameters.items()
        ]
        result = signature.return_annotation
        if _has_reference(result):
            result = texts.return_annotation
        return signature.replace(parameters=parameters, return_annotation=result)


def _has_reference(annotation: object) -> bool:
    """Whether *annotation* has a forward reference in it, that to a name which is not there."""
    import typing  # as above

    if isinstance(annotation, typing.ForwardRef):
        return True
    if isinstance(annotation, list):  # the parameters of a Callable
        return any(map(_has_reference, annotation))
    return any(map(_has_reference, typing.get_args(annotation)))
