"""
The base class of exceptions that store their data as attributes.

dataclasses or attrs could generate the constructors, but importing the package would
take longer; here a single constructor reads the annotations of the class.
"""

from __future__ import annotations

import sys
from typing import Any, ClassVar, Final, Literal, dataclass_transform

_COMPUTED: Final = object()


def computed(*, init: Literal[False] = False) -> Any:  # type checkers read the default of *init*
    """Declare an attribute that `__post_init__` sets; the constructor does not take it."""
    return _COMPUTED


@dataclass_transform(eq_default=False, field_specifiers=(computed,))
class StructuredError(Exception):
    """
    An exception whose constructor stores its arguments as attributes.

    A subclass annotates its attributes, may give them defaults, and returns its text
    from `__str__`. The constructor takes the attributes in order, those of the base
    class first, by position or by name; type checkers know its signature. The values are
    also the `args` of the exception, so it can be copied and pickled. A list is stored as
    a tuple where the annotation is a tuple. A subclass with an `__init__` adds no attributes
    to the inherited constructor.

    Among the bases it comes before a built-in exception:
    ``class LimitError(StructuredError, ValueError)``.
    """

    #: The attributes that the constructor takes, in order; also the positions of a class pattern.
    __match_args__: ClassVar[tuple[str, ...]] = ()
    _defaults: ClassVar[dict[str, object]] = {}
    _tuples: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "__init__" in vars(cls):
            return
        annotations: dict[str, object] = vars(cls).get("__annotations__", {})
        if not annotations and sys.version_info >= (3, 14):
            from typedbus._base.hints import annotations_of  # only for classes whose annotations are evaluated late

            annotations = annotations_of(cls)
        fields = dict.fromkeys(cls.__match_args__)
        own = [name for name, annotation in annotations.items() if "ClassVar" not in str(annotation)]
        for name in own:
            if vars(cls).get(name) is _COMPUTED:
                delattr(cls, name)
                fields.pop(name, None)
            else:
                fields[name] = None
        cls.__match_args__ = tuple(fields)  # type: ignore[misc]  # mypy derives it from the annotations
        cls._tuples = cls._tuples.union(name for name in own if str(annotations[name]).startswith("tuple["))
        defaults = cls._defaults | {name: vars(cls)[name] for name in own if name in vars(cls)}
        cls._defaults = {name: value for name, value in defaults.items() if name in fields}

    def __init__(self, *args: object, **kwargs: object) -> None:
        fields = self.__match_args__
        values = self._defaults | dict(zip(fields, args, strict=False)) | kwargs
        if len(args) > len(fields) or not kwargs.keys().isdisjoint(fields[: len(args)]) or values.keys() != {*fields}:
            raise TypeError(f"{type(self).__name__}() takes the arguments ({', '.join(fields)})")
        for name in fields:
            value = values[name]
            # The data of an error must not change when the caller changes its list.
            setattr(self, name, tuple(value) if name in self._tuples and isinstance(value, list) else value)
        # Not super(): OSError would parse its arguments as errno, message and file names.
        BaseException.__init__(self, *(getattr(self, name) for name in fields))
        self.__post_init__()

    def __post_init__(self) -> None:
        """Set the computed attributes; called at the end of the constructor."""
