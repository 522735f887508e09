"""Scopes beside a model: random declarations, used in random order, fail in random places."""

from __future__ import annotations

import asyncio
import contextlib
import types
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator
from typing import Any, Literal, TypeAlias

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from typedbus import SESSION, Component, Container, Given, NotGiven, Scope, Scoped

SYNC = ("generator", "contextmanager", "manager", "unannotated", "plain", "given")
ASYNC = ("async generator", "asynccontextmanager", "async manager", "coroutine")
NEVER_CLOSED = ("plain", "coroutine", "given")

Ending: TypeAlias = Literal["good", "failed", "interrupted", "recorded"]


@attrs.frozen
class Part:
    """One declaration, by its number; it needs parts before it."""

    number: int
    form: str
    needs: tuple[int, ...]
    is_of_session: bool
    is_overridden: bool
    has_value: bool
    opening: Literal["well", "fails"]
    closing: Literal["well", "fails", "swallows", "interrupts"]


@attrs.frozen
class Block:
    """The numbers of the parts that are requested in a scope, and how its block ends."""

    requests: tuple[int, ...]
    ending: Ending


@attrs.frozen
class Story:
    """The parts of a container, and the blocks of a session and of the requests inside it."""

    parts: tuple[Part, ...]
    session: Block
    blocks: tuple[Block, ...]
    is_async: bool


@st.composite
def stories(draw: st.DrawFn, *, is_async: bool) -> Story:
    """Draw a story; an object of a session needs objects of the session alone."""
    parts: list[Part] = []
    for number in range(draw(st.integers(1, 6))):
        is_of_session = draw(st.booleans())
        candidates = [part.number for part in parts if part.is_of_session or not is_of_session]
        form = draw(st.sampled_from(SYNC + ASYNC if is_async else SYNC))
        needs = draw(st.lists(st.sampled_from(candidates), max_size=3)) if candidates and form != "given" else []
        part = Part(
            number,
            form,
            tuple(needs),
            is_of_session,
            is_overridden=draw(st.integers(0, 9)) == 0,
            has_value=draw(st.booleans()),
            opening=draw(st.sampled_from(["well"] * 9 + ["fails"])),
            closing=draw(st.sampled_from(["well", "well", "well", "fails", "fails", "swallows", "interrupts"])),
        )
        parts.append(part)
    endings: st.SearchStrategy[Ending] = st.sampled_from(["good", "good", "failed", "interrupted", "recorded"])
    numbers = st.lists(st.sampled_from(range(len(parts))), min_size=1, max_size=4).map(tuple)
    of_session = [part.number for part in parts if part.is_of_session]
    session = Block(tuple(draw(st.lists(st.sampled_from(of_session), max_size=2))) if of_session else (), draw(endings))
    blocks = draw(st.lists(st.builds(Block, numbers, endings), min_size=1, max_size=2).map(tuple))
    return Story(tuple(parts), session, blocks, is_async)


class Stage:
    """The failures of one story, and what happens in it: openings, closings with the passed failure, and outcomes."""

    def __init__(self, parts: Iterable[Part]) -> None:
        self.parts = {part.number: part for part in parts}
        self.events: list[tuple[object, ...]] = []
        self.errors: dict[object, BaseException] = {}
        #: The failures of closing objects, by the exception that has them as notes, or by the interrupt that they caused.
        self.notes: dict[BaseException, list[str]] = {}
        self.causes: dict[BaseException, list[str]] = {}

    def error(self, *of: object) -> BaseException:
        """Return the failure *of* something, the same at each call."""
        kind = KeyboardInterrupt if "interrupts" in of or "interrupted" in of else ValueError
        return self.errors.setdefault(of, kind(*of))

    def open(self, part: Part) -> object:
        """Record the opening of *part*; return its object, or fail."""
        self.events.append(("open", part.number))
        if part.opening == "fails":
            raise self.error("open", part.number, len(self.events))
        return f"object {part.number}"

    def close(self, part: Part, passed: BaseException | None) -> None:
        """Record the closing of *part*, or fail."""
        self.events.append(("close", part.number, passed))
        if part.closing in ("fails", "interrupts"):
            raise self.error("close", part.number, part.closing, len(self.events))


# The container of a story.


def builder(stage: Stage, part: Part) -> Callable[..., Any]:
    """Return the function that a container declares for *part*."""

    def generator(*needs: object) -> Iterator[object]:
        opened = stage.open(part)
        try:
            yield opened
        except BaseException as error:
            stage.close(part, error)
            if part.closing != "swallows":
                raise
        else:
            stage.close(part, None)

    async def async_generator(*needs: object) -> AsyncIterator[object]:
        await asyncio.sleep(0)
        opened = stage.open(part)
        try:
            yield opened
        except BaseException as error:
            await asyncio.sleep(0)
            stage.close(part, error)
            if part.closing != "swallows":
                raise
        else:
            stage.close(part, None)

    class Manager:
        def __init__(self, *needs: object) -> None: ...

        def __enter__(self) -> object:
            return stage.open(part)

        def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
            stage.close(part, error)
            return part.closing == "swallows"

    class AsyncManager:
        def __init__(self, *needs: object) -> None: ...

        async def __aenter__(self) -> object:
            await asyncio.sleep(0)
            return stage.open(part)

        async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
            stage.close(part, error)
            return part.closing == "swallows"

    async def coroutine(*needs: object) -> object:
        return stage.open(part)

    builders: dict[str, Any] = {
        "plain": lambda *needs: stage.open(part),
        "generator": generator,
        "contextmanager": contextlib.contextmanager(generator),
        "manager": Manager,
        "unannotated": lambda *needs: Manager(),
        "async generator": async_generator,
        "asynccontextmanager": contextlib.asynccontextmanager(async_generator),
        "async manager": AsyncManager,
        "coroutine": coroutine,
    }
    builds: Callable[..., Any] = builders[part.form]
    return builds


def container_of(stage: Stage) -> type[Container]:
    """Return a container class with a declaration for each part."""
    declarations: dict[str, Any] = {}
    for part in stage.parts.values():
        needs = [declarations[f"part{number}"].provided for number in part.needs]
        declared: Any = Given(str) if part.form == "given" else Scoped(builder(stage, part), *needs)
        declarations[f"part{part.number}"] = declared.at(SESSION) if part.is_of_session else declared
    return types.new_class("Random", (Container,), exec_body=lambda body: body.update(declarations))


class InBlock:
    """Opens a scope with ``async with``, or with ``with``."""

    def __init__(self, scope: Scope, *, is_async: bool) -> None:
        self.scope, self.is_async = scope, is_async

    async def __aenter__(self) -> Scope:
        return await self.scope.__aenter__() if self.is_async else self.scope.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        exit_or_awaitable = self.scope.__aexit__ if self.is_async else self.scope.__exit__
        ended = exit_or_awaitable(kind, error, trace)
        if ended is not None:
            await ended


async def played(story: Story) -> Stage:
    """Carry out *story* with scopes of a container."""
    stage = Stage(story.parts)
    cls = container_of(stage)
    container = cls()
    declared: Callable[[int], Component[Any]] = lambda number: vars(cls)[f"part{number}"]

    def values(*, of_session: bool) -> list[Any]:
        parts = [part for part in story.parts if part.form == "given" and part.has_value]
        values: list[Any] = [declared(part.number) for part in parts if part.is_of_session is of_session]
        return [value.given(f"value of {value.path}") for value in values]

    async def run(scope: Scope, block: Block) -> None:
        for number in block.requests:
            try:
                component = declared(number)
                await scope.get(component) if story.is_async else scope[component]
            except (NotGiven, ValueError) as error:
                stage.events.append(("refused", type(error) if isinstance(error, NotGiven) else error))
        end(stage, block, scope)

    with contextlib.ExitStack() as overrides:
        for part in story.parts:
            if part.is_overridden:
                overrides.enter_context(container.override(declared(part.number)).by("fake"))
        with recorded(stage):
            session = container.scope(*values(of_session=True), level=SESSION)
            async with InBlock(session, is_async=story.is_async):
                for block in story.blocks:
                    with recorded(stage):
                        scope = session.scope(*values(of_session=False))
                        async with InBlock(scope, is_async=story.is_async):
                            await run(scope, block)
                await run(session, story.session)
    for error in stage.errors.values():
        notes = [note.partition("failed to close an object: ")[2] for note in getattr(error, "__notes__", ())]
        stage.notes[error] = [note for note in notes if note]
    return stage


def causes_of(error: BaseException) -> Iterator[BaseException]:
    while (cause := error.__cause__) is not None:
        yield cause
        error = cause


def end(stage: Stage, block: Block, scope: Scope | ModelScope) -> None:
    """End *block* as it says."""
    error = stage.error("block", id(block), block.ending)
    if block.ending == "recorded":
        scope.failed_with(error)
    elif block.ending != "good":
        raise error


@contextlib.contextmanager
def recorded(stage: Stage) -> Generator[None, None, None]:
    """Record the exception that leaves a scope."""
    try:
        yield
    except BaseExceptionGroup as group:
        stage.events.append(("left", group.exceptions))
    except (ValueError, KeyboardInterrupt) as error:
        stage.events.append(("left", error))
        if isinstance(error, KeyboardInterrupt):
            stage.causes[error] = sorted(texts_of(causes_of(error)))
    else:
        stage.events.append(("left", None))


# The model.


class ModelScope:
    """A scope in the simplest way: objects in a dict, and an `ExitStack` of functions that close them."""

    def __init__(self, stage: Stage, session: ModelScope | None = None) -> None:
        self.stage, self.session = stage, session
        self.objects: set[int] = set()
        self.exits = contextlib.ExitStack()
        self.recorded: BaseException | None = None
        self.failures: list[BaseException] = []

    def failed_with(self, error: BaseException) -> None:
        self.recorded = error

    def request(self, number: int) -> None:
        part = self.stage.parts[number]
        scope = self.session if part.is_of_session and self.session is not None else self
        if part.is_overridden or number in scope.objects or (part.form == "given" and part.has_value):
            return
        if part.form == "given":
            raise NotGiven("", "", "")
        for need in part.needs:
            self.request(need)
        self.stage.open(part)
        scope.objects.add(number)
        if part.form not in NEVER_CLOSED:
            scope.exits.push(lambda kind, error, trace: scope.close(part, error))

    def close(self, part: Part, error: BaseException | None) -> None:
        passed = error or self.recorded or (self.failures[0] if self.failures else None)
        try:
            self.stage.close(part, passed)
        except (ValueError, KeyboardInterrupt) as failure:
            self.failures.append(failure)

    def run(self, block: Block, before: Callable[[], None] = lambda: None) -> None:
        """Carry out *before* and *block*, and record what leaves the scope."""
        left: BaseException | None = None
        outcome: object
        try:
            with self.exits:
                before()
                for number in block.requests:
                    try:
                        self.request(number)
                    except (NotGiven, ValueError) as error:
                        self.stage.events.append(("refused", type(error) if isinstance(error, NotGiven) else error))
                end(self.stage, block, self)
        except (ValueError, KeyboardInterrupt) as error:
            left = error
        interrupts = [failure for failure in self.failures if isinstance(failure, KeyboardInterrupt)]
        noted = left or self.recorded
        if interrupts and not isinstance(noted, KeyboardInterrupt):
            outcome = interrupts[0]
            others = [failure for failure in (noted, *self.failures) if failure not in (None, outcome)]
            self.stage.causes[outcome] = sorted(texts_of(others))
        elif noted is not None:
            outcome = left
            self.stage.notes[noted] = texts_of(self.failures)
        else:
            outcome = tuple(self.failures) if len(self.failures) > 1 else next(iter(self.failures), None)
        self.stage.events.append(("left", outcome))


def modelled(story: Story) -> Stage:
    """Carry out *story* with the model."""
    stage = Stage(story.parts)
    session = ModelScope(stage)

    def requests() -> None:
        for block in story.blocks:
            ModelScope(stage, session).run(block)

    session.run(story.session, requests)
    return stage


def texts_of(errors: Iterable[object]) -> list[str]:
    return [f"{type(error).__name__}: {error}" for error in errors]


def readable(stage: Stage) -> list[str]:
    """Return what *stage* has recorded as text, since the exceptions of two stages are not equal."""
    events = [repr(event) for event in stage.events]
    return events + [repr(item) for items in (stage.notes.items(), stage.causes.items()) for item in items if item[1]]


def check(story: Story) -> None:
    """The same events in the same order, with the same exceptions, as in the model, with the same notes and causes."""
    assert readable(asyncio.run(played(story))) == readable(modelled(story))


@pytest.mark.slow
@given(stories(is_async=False))
@settings(max_examples=60, deadline=None, database=None)
def test_a_scope_does_the_same_as_the_model(story: Story) -> None:
    check(story)


@pytest.mark.slow
@given(stories(is_async=True))
@settings(max_examples=60, deadline=None, database=None)
def test_an_async_scope_does_the_same_as_the_model(story: Story) -> None:
    check(story)


@pytest.mark.exhaustive
@pytest.mark.timeout(900)
@given(st.booleans().flatmap(lambda is_async: stories(is_async=is_async)))
@settings(max_examples=10_000, deadline=None, database=None)
def test_ten_thousand_scopes_do_the_same_as_the_model(story: Story) -> None:
    check(story)
