"""
The converter of `CattrsCodec`.

cattrs constructs the classes that msgspec does not restore, and follows the types below them. Every other type is
checked and converted as without a codec.
"""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Callable, Mapping
from inspect import Parameter
from typing import Any, Final

import attrs
import msgspec
from cattrs import Converter, transform_error
from cattrs.cols import iterable_unstructure_factory, list_structure_factory
from cattrs.gen import (
    make_dict_structure_fn,
    make_dict_unstructure_fn,
    make_mapping_structure_fn,
    make_mapping_unstructure_fn,
)

from typedbus.nats._cattrs_types import class_of, classes_of, item_of, other_than_none, sent_fields, type_text, value_of
from typedbus.nats._compiled import encoder
from typedbus.nats._errors import EncodeFailed, SchemaFault
from typedbus.nats._schema_types import has_generated_init, sendable

_DIRECT: Final = (bool, int, float, str, bytes)
#: The key of the name of a class, in the object of a member of a union. No field has this name.
TAG: Final = "$type"
_FORMS: Final[Mapping[type, str]] = {
    dict: "an object",
    list: "an array",
    str: "a text",
    int: "a number",
    float: "a number",
    bool: "a bool",
}
_NULL: Final[Mapping[str, object]] = {"type": "null"}

Hook = Callable[[Any], Any]


class _NotOfClass(Exception):
    """Raised for a value of another class than the declared one; `EncodeFailed` replaces it."""


@attrs.define(eq=False)
class Binding:
    """The converter of one channel, and the JSON schemas of its types."""

    channel: str
    _converter: Any = attrs.field(init=False)  # the signatures of its methods are too narrow for annotations
    _objects: dict[str, dict[str, object]] = attrs.field(factory=dict)
    _others: list[tuple[Any, dict[str, object]]] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        self._converter = Converter()
        # The last one that applies is asked first.
        for applies, structure, unstructure in (
            (class_of, self._structure_object, self._unstructure_object),
            (item_of, self._structure_items, self._unstructure_items),
            (value_of, self._structure_mapping, self._unstructure_mapping),
            (classes_of, self._structure_member, self._unstructure_member),
            (self.is_plain, self._structure_plain, self._unstructure_plain),
        ):
            self._converter.register_structure_hook_factory(applies, structure)
            self._converter.register_unstructure_hook_factory(applies, unstructure)
        for cls in _DIRECT:  # cattrs asks no factory for these
            self._converter.register_structure_hook(cls, self._structure_plain(cls))
            self._converter.register_unstructure_hook(cls, self._unstructure_plain(cls))

    def to_plain(self, annotation: Any, name: str) -> Hook:
        """Return the function that sends the argument *name*."""
        place = "result" if name == "return" else name

        def convert(value: object) -> object:
            try:
                return self._converter.unstructure(value, unstructure_as=annotation)
            except EncodeFailed as failed:
                raise EncodeFailed(self.channel, place, f"in a value of {failed.path}: {failed.problem}") from failed
            except _NotOfClass as error:
                raise EncodeFailed(self.channel, place, str(error)) from error

        return convert

    def from_plain(self, annotation: Any, name: str) -> Hook:
        """Return the function that restores the argument *name*."""

        def text(error: BaseException, _: object) -> str:
            return "missing required field" if isinstance(error, KeyError) else str(error)

        def convert(value: object) -> object:
            try:
                return self._converter.structure(value, annotation)
            except Exception as error:
                problems = transform_error(error, path="$" if name == "return" else f"$.{name}", format_exception=text)
                raise msgspec.ValidationError("; ".join(map(_placed, problems))) from error

        return convert

    # The JSON schema, and the check of the types

    def schema(self, annotation: Any, path: str) -> dict[str, object]:
        """
        Return the JSON schema of a type, which refers to the definitions.

        Raises:
            SchemaFault: A part of it cannot be sent.
        """
        if self.is_plain(annotation):
            schema: dict[str, object] = {}
            self._others.append((annotation, schema))
            return schema
        if hasattr(annotation, "__supertype__"):
            return self.schema(annotation.__supertype__, path)
        if typing.get_origin(annotation) is typing.Annotated:
            return self.schema(annotation.__origin__, path)
        cls, item, value, classes = (
            class_of(annotation),
            item_of(annotation),
            value_of(annotation),
            classes_of(annotation),
        )
        if cls:
            return self._object(annotation, cls, path)
        if item:
            return {"type": "array", "items": self.schema(item[0], f"{path}[]")}
        if value:
            return {"type": "object", "additionalProperties": self.schema(value[0], f"{path}[]")}
        optional = other_than_none(annotation)
        if optional:
            return {"anyOf": [_NULL, self.schema(optional[0], path)]}
        if classes:
            members: list[object] = [_NULL] if types.NoneType in typing.get_args(annotation) else []
            for name, member in classes.items():
                tag = {"properties": {TAG: {"const": name}}, "required": [TAG]}
                members.append({"allOf": [tag, self.schema(member, path)]})
            return {"anyOf": members}
        if not typing.get_args(annotation):
            sendable(self.channel, annotation, path)
        raise SchemaFault(self.channel, path, f"CattrsCodec does not send {annotation}; send an attrs class instead")

    def definitions(self) -> dict[str, dict[str, object]]:
        """Return the schemas of the classes, after `schema` was called for all types."""
        schemas, definitions = msgspec.json.schema_components(
            [annotation for annotation, _ in self._others], ref_template="#/$defs/{name}"
        )
        for (_, schema), described in zip(self._others, schemas, strict=True):
            schema.update(described)
        return {**definitions, **self._objects}

    def _object(self, annotation: Any, cls: Any, path: str) -> dict[str, object]:
        name = f"{cls.__module__}.{type_text(annotation)}"
        reference: dict[str, object] = {"$ref": f"#/$defs/{name}"}
        if name in self._objects:
            return reference
        if not has_generated_init(cls):
            raise SchemaFault(
                self.channel, path, f"{cls.__qualname__} has an __init__ of its own; use the generated one"
            )
        self._objects[name] = {}
        properties: dict[str, object] = {}
        required: list[str] = []
        for field, kind, is_required in sent_fields(annotation, cls):
            properties[field] = self.schema(kind, f"{path}.{field}")
            required += [field] if is_required else []
        self._objects[name] = {
            "title": cls.__qualname__,
            "type": "object",
            "properties": properties,
            "required": required,
        }
        return reference

    # The hooks of the converter

    def is_plain(self, annotation: Any) -> bool:
        """Return whether values of a type are sent as without a codec."""
        try:
            sendable(self.channel, annotation, "")
        except SchemaFault:
            return False
        return True

    def _structure_plain(self, annotation: Any) -> Callable[[Any, Any], Any]:
        return lambda value, _: msgspec.convert(value, annotation, str_keys=True)

    def _unstructure_plain(self, annotation: Any) -> Hook:
        parameter = Parameter("value", Parameter.POSITIONAL_ONLY)
        described = sendable(self.channel, annotation, "")
        check: Any = encoder(
            self.channel, [parameter], [described], None, functools.partial(msgspec.to_builtins, str_keys=True)
        )

        def unstructure(value: object) -> object:
            try:
                return check(value)
            except EncodeFailed as failed:
                path = type_text(annotation) + failed.path.removeprefix("value")
                raise EncodeFailed(self.channel, path, failed.problem) from failed

        return unstructure

    def _structure_object(self, annotation: Any) -> Callable[[Any, Any], Any]:
        return _of_json(dict, make_dict_structure_fn(annotation, self._converter))

    def _unstructure_object(self, annotation: Any) -> Hook:
        return _of_class(class_of(annotation), make_dict_unstructure_fn(annotation, self._converter))

    def _structure_items(self, annotation: Any) -> Callable[[Any, Any], Any]:
        cls: Any = typing.get_origin(annotation)
        of_items: Any = list[item_of(annotation)[0]]  # type: ignore[misc]  # known at run time
        items: Any = list_structure_factory(of_items, self._converter)

        def structure(value: object, kind: object) -> object:
            return cls(items(value, kind))

        return _of_json(list, structure)

    def _unstructure_items(self, annotation: Any) -> Hook:
        items: Any = iterable_unstructure_factory(annotation, self._converter, unstructure_to=list)
        return _of_class(typing.get_origin(annotation), items)

    def _structure_mapping(self, annotation: Any) -> Callable[[Any, Any], Any]:
        return _of_json(dict, make_mapping_structure_fn(annotation, self._converter))

    def _unstructure_mapping(self, annotation: Any) -> Hook:
        return _of_class(dict, make_mapping_unstructure_fn(annotation, self._converter))

    def _structure_member(self, annotation: Any) -> Callable[[Any, Any], Any]:
        classes = classes_of(annotation)
        is_optional = types.NoneType in typing.get_args(annotation)

        def structure(value: Any, _: object) -> object:
            if value is None and is_optional:
                return None
            name = value.get(TAG) if type(value) is dict else None
            if not (isinstance(name, str) and name in classes):
                raise ValueError(f"expected an object whose {TAG} is {' or '.join(classes)}, got {name!r}")
            return self._converter.structure(value, classes[name])

        return structure

    def _unstructure_member(self, annotation: Any) -> Hook:
        names = {typing.get_origin(member) or member: (name, member) for name, member in classes_of(annotation).items()}
        is_optional = types.NoneType in typing.get_args(annotation)

        def unstructure(value: object) -> object:
            if value is None and is_optional:
                return None
            if type(value) not in names:
                raise _NotOfClass(f"got an instance of {type_text(type(value))}; expected {annotation}")
            name, member = names[type(value)]
            return {TAG: name, **self._converter.unstructure(value, unstructure_as=member)}

        return unstructure


def _placed(problem: str) -> str:
    """Return a problem of cattrs, ``text @ $.order``, in the form of msgspec, which continues the path."""
    text, _, path = problem.rpartition(" @ ")
    text, _, below = text.partition(" - at `$")
    return f"{text} - at `{path}{below.removesuffix('`')}`"


def _of_json(cls: type, structure: Any) -> Callable[[Any, Any], Any]:
    """Return a hook that takes no other form of JSON; cattrs would take a text for a list of characters."""

    def checked(value: object, kind: object) -> object:
        if type(value) is not cls:
            got: Any = type(value)
            raise TypeError(f"expected {_FORMS[cls]}, got {_FORMS.get(got, 'null')}")
        return structure(value, kind)

    return checked


def _of_class(cls: Any, unstructure: Any) -> Hook:
    """Return a hook that takes no subclass, whose own fields would not be sent."""

    def checked(value: object) -> object:
        if type(value) is not cls:
            raise _NotOfClass(
                f"got an instance of {type_text(type(value))}; expected {type_text(cls)}, and no subclass of it"
            )
        return unstructure(value)

    return checked
