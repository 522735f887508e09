"""Opening and closing a resource in the threads that call hooks."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Coroutine
from typing import Any, Final

from typedbus._bus.bus import Bus
from typedbus._container.entering import closing_failure, entered
from typedbus._container.forms import Form, form_of_class
from typedbus._container.resource import Resource

#: The forms of objects that are not context managers.
_FORMS: Final[dict[type, Form]] = {
    types.GeneratorType: Form.GENERATOR,
    types.AsyncGeneratorType: Form.ASYNC_GENERATOR,
    types.CoroutineType: Form.COROUTINE,
}


class ResourceOpening:
    """
    Opens *resource* once, and closes it.

    If only the result of the declared callable shows that it is async, it is opened on the event loop of *bus*.
    """

    def __init__(self, resource: Resource[Any], bus: Bus) -> None:
        self._resource = resource
        self._bus = bus
        #: Closes the object, and returns the failure of that.
        self._closing: Callable[[], BaseException | None] | None = None

    def open(self) -> object:
        """Return the object that the resource provides."""
        resource = self._resource
        result: Any = resource.make()
        form = resource.form
        if form is Form.UNKNOWN:
            form = _FORMS.get(type(result)) or form_of_class(type(result))
        resource.check_result(result, form)
        if form in (Form.GENERATOR, Form.MANAGER):
            instance, close = entered(result, form, resource)
            self._closing = functools.partial(close, result, None)
            return instance
        from typedbus._container.resource_task import ResourceTask  # imports asyncio

        task = ResourceTask(resource, self._bus)
        self._closing = functools.partial(self._on_loop, task.close)
        return self._on_loop(functools.partial(task.open, result, form))

    def close(self) -> None:
        """Close the object; raise the failure of that."""
        closing, self._closing = self._closing, None
        failure = None if closing is None else closing()
        try:
            if failure is not None:
                raise closing_failure(failure, self._resource)
        finally:
            del failure  # its traceback holds this frame

    def _on_loop(self, function: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        return self._bus.run_on_loop(function()).result()
