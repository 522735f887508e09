"""Log records as lines of JSON."""

from __future__ import annotations

import datetime as dt
import json
import logging
import math
import traceback
from collections.abc import Mapping
from typing import Final

#: Attributes of every record; further attributes were given as `extra`.
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
#: The standard fields of a line; other keys of a record do not replace them.
_FIELDS: Final = ("time", "level", "logger", "kind", "message", "exception", "stack")
_DEPTH: Final = 8


class JSONFormatter(logging.Formatter):
    """
    Writes each record as one line that is a JSON object.

    The fields are ``time`` (ISO 8601 in UTC), ``level``, ``logger``, ``kind``,
    ``message``, and where a record has them ``exception``, the traceback as one
    string, and ``stack``. ``kind`` is the kind of an event of the bus, and ``record``
    for records of other code. The data of an event and the `extra` of other code
    become additional fields; a name that equals one of the fields above gets a
    ``_`` at its end.

    A line is ASCII and valid JSON, whatever the record holds: a number that is not
    finite becomes null, an object of a type that JSON does not have becomes its repr,
    and a message whose arguments do not fit is written with them. Any thread may format.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return *record* as a line, without a line break."""
        line: dict[str, object] = {
            "time": dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="microseconds"),
            "level": record.levelname,
            "logger": record.name,
            "kind": getattr(record, "kind", "record"),
            "message": _message_of(record),
        }
        for name, value in vars(record).items():
            if name not in _STANDARD and name != "kind":
                line[f"{name}_" if name in _FIELDS else name] = value
        if record.exc_info and record.exc_info[1] is not None:
            line["exception"] = _text_of(record.exc_info[1])
        elif record.exc_text:
            line["exception"] = record.exc_text
        if record.stack_info:
            line["stack"] = record.stack_info
        return json.dumps(_plain(line, _DEPTH), allow_nan=False)


def _message_of(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as error:
        return f"{_shown(record.msg)} with {_shown(record.args)}, which do not fit: {_shown(error)}"


def _text_of(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error)).rstrip()
    except Exception:
        return _shown(error)


def _plain(value: object, depth: int) -> object:
    """Return *value* as plain JSON types; an object nested deeper than *depth* becomes its repr."""
    if value is None or isinstance(value, bool):
        return value
    # Subclasses, such as enumerations, become their plain value: their own methods may fail.
    if isinstance(value, str):
        return str.encode(value, "utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, int):
        # Python refuses to convert longer integers to decimal text.
        return int.__int__(value) if int.bit_length(value) < 2**12 else _shown(hex(value))
    if isinstance(value, float):
        return float.__float__(value) if math.isfinite(value) else None
    if depth:
        try:
            if isinstance(value, Mapping):
                return {_key_of(key): _plain(item, depth - 1) for key, item in value.items()}
            if isinstance(value, (list, tuple, set, frozenset)):
                return [_plain(item, depth - 1) for item in value]
        except Exception:
            return _shown(value)
    return _shown(value)


def _key_of(key: object) -> str:
    text = str.__str__(key) if isinstance(key, str) else _shown(key)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _shown(value: object) -> str:
    try:
        text = str.__str__(repr(value))
    except Exception as error:
        text = f"<{type(value).__name__} whose repr raised {type(error).__name__}>"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
