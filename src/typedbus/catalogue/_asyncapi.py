"""The catalogue as an AsyncAPI 3.0 document."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from typedbus.catalogue._model import RECEIVING, SENDING, CatalogueChannel, Port

if TYPE_CHECKING:
    from typedbus.catalogue import Catalogue

VERSION: Final = "3.0.0"
_DEFINITIONS: Final = "#/$defs/"
_ANSWERED: Final = ("ask", "gather", "responder")


def asyncapi(catalogue: Catalogue, *, title: str, version: str, every: bool, schemas: Mapping[str, Any]) -> str:
    """
    Return the channels of *catalogue* that have remote ports, as an AsyncAPI document in JSON.

    An operation is what this application does: it sends what its ports send, and receives what its consumers,
    receivers and responders receive.

    Args:
        catalogue: The catalogue.
        title: The title of the document.
        version: The version of the application.
        every: Whether channels without remote ports are included.
        schemas: The JSON schemas of the messages of channels, by key; the others are described by their signatures.
    """
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    definitions: dict[str, Any] = {}
    for channel in catalogue.channels:
        if not (channel.ports or every):
            continue
        name = identifier(channel.key)
        schema = _moved(schemas.get(channel.key), name, definitions)
        messages[name] = _message(channel, schema)
        channels[name] = _channel(channel, name)
        has_reply = any(port.kind in _ANSWERED for port in channel.ports)
        if has_reply:
            messages[f"{name}.result"] = _result(channel, schema)
            channels[f"{name}.result"] = {
                "address": None,
                "messages": {"result": {"$ref": f"#/components/messages/{name}.result"}},
            }
        for action, kinds in (("send", SENDING), ("receive", RECEIVING)):
            ports = [port for port in channel.ports if port.kind in kinds]
            if ports or not channel.ports:
                operations[f"{name}.{action}"] = _operation(channel, name, action, ports)
    document = {
        "asyncapi": VERSION,
        "info": {"title": title, "version": version},
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": definitions},
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def message_schemas(channels: Iterable[CatalogueChannel]) -> dict[str, Any]:
    """Return the JSON schemas of the messages of *channels*, by key, as far as `typedbus.nats` can send them."""
    try:
        from typedbus.nats._errors import SchemaFault
        from typedbus.nats._schema import schema_of
    except ImportError:
        return {}
    schemas: dict[str, Any] = {}
    for channel in channels:
        module, _, path = channel.key.partition(":")
        try:
            found: Any = attrgetter(path)(sys.modules[module])
            schemas[channel.key] = schema_of(found).json_schema()
        except (KeyError, AttributeError, SchemaFault):
            continue
    return schemas


def identifier(key: str) -> str:
    """Return *key* with the characters that the specification allows in the keys of components."""
    return re.sub(r"[^A-Za-z0-9._-]", ".", key)


def _moved(schema: Any, name: str, definitions: dict[str, Any]) -> Any:
    """
    Return *schema* with references into the document, and put what it refers to into *definitions*.

    A reference is relative to the root of the document that contains it, so a schema cannot bring its own definitions.
    """

    def moved(value: Any) -> Any:
        if isinstance(value, list):
            return [moved(item) for item in value]
        if not isinstance(value, dict):
            return value
        found = {key: moved(item) for key, item in value.items() if key != "$defs"}
        for key, definition in value.get("$defs", {}).items():
            definitions[f"{name}.{identifier(key)}"] = moved(definition)
        reference = found.get("$ref")
        if isinstance(reference, str) and reference.startswith(_DEFINITIONS):
            key = identifier(reference.removeprefix(_DEFINITIONS))
            found["$ref"] = f"#/components/schemas/{name}.{key}"
        return found

    return moved(schema)


def _channel(channel: CatalogueChannel, name: str) -> dict[str, Any]:
    streams = [port.stream for port in channel.ports if port.stream]
    return {
        "address": f"{streams[0]}.{channel.name}" if streams else channel.name,
        "title": channel.name,
        **({"description": channel.doc} if channel.doc else {}),
        "messages": {"message": {"$ref": f"#/components/messages/{name}"}},
        "x-typedbus-key": channel.key,
        "x-typedbus-signature": channel.signature,
        "x-typedbus-place": f"{channel.file}:{channel.line}",
    }


def _message(channel: CatalogueChannel, schema: Any) -> dict[str, Any]:
    payload = schema["arguments"] if schema else _described(channel)
    return {"name": channel.name, "contentType": "application/json", "payload": payload}


def _result(channel: CatalogueChannel, schema: Any) -> dict[str, Any]:
    payload = schema["result"] if schema else {"x-typedbus-type": channel.result}
    return {"name": f"{channel.name} result", "contentType": "application/json", "payload": payload}


def _described(channel: CatalogueChannel) -> dict[str, Any]:
    """Return a schema of the arguments as an object, which names their types and does not describe them."""
    parameters = channel.parameters or ()
    return {
        "type": "object",
        "properties": {one.name: {"x-typedbus-type": one.type} for one in parameters},
        "required": [one.name for one in parameters if one.default is None and not one.kind.startswith("var_")],
    }


def _operation(channel: CatalogueChannel, name: str, action: str, ports: list[Port]) -> dict[str, Any]:
    reply = {
        "channel": {"$ref": f"#/channels/{name}.result"},
        "messages": [{"$ref": f"#/channels/{name}.result/messages/result"}],
    }
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{name}"},
        "messages": [{"$ref": f"#/channels/{name}/messages/message"}],
        **({"reply": reply} if any(port.kind in _ANSWERED for port in ports) else {}),
        "x-typedbus-ports": [
            {"kind": port.kind, "component": port.component, "stream": port.stream, "group": port.group}
            for port in ports
        ],
    }
