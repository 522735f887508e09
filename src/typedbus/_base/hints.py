"""
Read annotations as they were written, without failing.

From Python 3.14 on (PEP 649) an annotation is evaluated when it is first read,
and reading it raises any exception of the expression: NameError for a name that
is imported only under ``TYPE_CHECKING``. Here such an annotation is returned as its
text, like all annotations under ``from __future__ import annotations``.
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
    Return the annotations of a function, or of a class without its bases.

    Empty if an annotation that is evaluated late raises an error other than NameError or AttributeError.
    """
    if sys.version_info >= (3, 14):
        try:
            return dict(owner.__annotations__)
        except Exception:
            import annotationlib  # slower to import than the rest of the package, and seldom needed

            try:
                annotations = annotationlib.get_annotations(owner, format=annotationlib.Format.FORWARDREF)
                texts = annotationlib.get_annotations(owner, format=annotationlib.Format.STRING)
            except Exception:
                return {}
            return {name: texts[name] if _has_reference(value) else value for name, value in annotations.items()}
    annotations = vars(owner).get("__annotations__") if isinstance(owner, type) else owner.__annotations__
    return dict(annotations or {})


def signature_of(function: Callable[..., object]) -> inspect.Signature:
    """
    Return the signature of a callable, with evaluated annotations; annotations that cannot be evaluated are texts.

    Raises:
        TypeError: It is not callable, or its `__signature__` is not a signature.
        ValueError: It is written in C and has no signature.
    """
    import inspect  # as above

    try:
        return inspect.signature(function, eval_str=True)
    except Exception:
        # An annotation that is a text may contain any expression.
        if sys.version_info >= (3, 14):
            return _with_texts(function)
        return inspect.signature(function)


if sys.version_info >= (3, 14):

    def _with_texts(function: Callable[..., object]) -> inspect.Signature:
        """Return the signature of a callable whose annotations are evaluated late and cannot be evaluated."""
        import inspect

        import annotationlib

        try:
            signature = inspect.signature(function, annotation_format=annotationlib.Format.FORWARDREF)
            texts = inspect.signature(function, annotation_format=annotationlib.Format.STRING)
        except Exception:
            if not isinstance(function, types.FunctionType):
                raise
            bare = types.FunctionType(
                function.__code__, {}, function.__name__, function.__defaults__, function.__closure__
            )
            bare.__kwdefaults__ = function.__kwdefaults__
            return inspect.signature(bare)
        parameters = [
            parameter.replace(annotation=texts.parameters[name].annotation)
            if _has_reference(parameter.annotation)
            else parameter
            for name, parameter in signature.parameters.items()
        ]
        result = signature.return_annotation
        if _has_reference(result):
            result = texts.return_annotation
        return signature.replace(parameters=parameters, return_annotation=result)


def _has_reference(annotation: object) -> bool:
    """Whether *annotation* contains a forward reference, which refers to an undefined name."""
    import typing  # as above

    if isinstance(annotation, typing.ForwardRef):
        return True
    if isinstance(annotation, list):  # the parameters of a Callable
        return any(map(_has_reference, annotation))
    return any(map(_has_reference, typing.get_args(annotation)))
