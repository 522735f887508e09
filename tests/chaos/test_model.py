"""The runs of a bus compared with a simple model of their policies, on a clock that the test moves."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any, Final

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.processes import until

from typedbus import (
    RUN,
    Bus,
    Component,
    Container,
    Restart,
    RunFailed,
    RunRecord,
    RunReturned,
    RunState,
    State,
    Stopping,
    on,
)
from typedbus.testing import FakeClock

POLICIES: Final = (
    None,
    Restart("failure", most=2, within=30, first=1, longest=4, jitter=0),
    Restart("always", most=3, within=60, first=2, longest=2, jitter=0, fatal=(PermissionError,)),
    Restart("always", most=1, within=20, first=4, jitter=0, then="unready"),
    Restart("never", then="unready"),
)
"""The policies of the runs."""


class Work:
    """
    The calls of one run, which end as the test orders.

    Attributes:
        calls: How many times the run was called.
        at_once: The largest number of calls at the same time.
    """

    def __init__(self) -> None:
        self.orders: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        self.calls = 0
        self.at_once = 0
        self._now = 0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            self.calls += 1
            self._now += 1
            self.at_once = max(self.at_once, self._now)

    def __exit__(self, *_error: object) -> None:
        with self._lock:
            self._now -= 1

    def in_thread(self, stopping: Stopping) -> None:
        with self:
            while not stopping.is_set():
                try:
                    order = self.orders.get(timeout=0.001)
                except queue.Empty:
                    continue
                if order is not None:
                    raise order
                return

    async def as_task(self, stopping: Stopping) -> None:
        with self:
            while not stopping.is_set():
                try:
                    order = self.orders.get_nowait()
                except queue.Empty:
                    await asyncio.sleep(0.001)
                    continue
                if order is not None:
                    raise order
                return


class InThread:
    def __init__(self, work: Work) -> None:
        self.work = work

    @on(RUN)
    def run_in_thread(self, stopping: Stopping) -> None:
        self.work.in_thread(stopping)


class AsTask:
    def __init__(self, work: Work) -> None:
        self.work = work

    @on(RUN)
    async def run_as_task(self, stopping: Stopping) -> None:
        await self.work.as_task(stopping)


@attrs.define
class Model:
    """The state of one run that the documentation promises."""

    path: str
    policy: Restart | None
    work: Work
    state: RunState = RunState.IDLE
    attempt: int = 0
    calls: int = 0
    next_at: float | None = None
    last_error: str | None = None
    failures: list[float] = attrs.field(factory=list)

    def begin(self) -> None:
        self.state, self.attempt, self.last_error, self.next_at = RunState.RUNNING, 1, None, None
        self.failures.clear()
        self.calls += 1

    def end(self) -> None:
        if self.state in (RunState.RUNNING, RunState.WAITING):
            self.state, self.next_at = RunState.ENDED, None

    def advance(self, now: float) -> None:
        if self.next_at is not None and self.next_at <= now:
            self.state, self.next_at, self.attempt = RunState.RUNNING, None, self.attempt + 1
            self.calls += 1

    def finish(self, error: BaseException | None, now: float) -> bool:
        """Note the end of a call, and return whether the bus must exit."""
        policy = self.policy
        if error is None and (policy is None or policy.when != "always"):
            self.state = RunState.ENDED
            return False
        self.last_error = "RunReturned" if error is None else repr(error)
        if policy is not None:
            self.failures = [when for when in self.failures if now - when < policy.within]
        self.failures.append(now)
        is_final = policy is None or policy.when == "never" or len(self.failures) > policy.most
        if policy is None or is_final or isinstance(error, policy.fatal):
            self.state = RunState.FAILED
            return policy is None or policy.then == "exit"
        self.state = RunState.WAITING
        self.next_at = now + min(policy.longest, policy.first * 2 ** (len(self.failures) - 1))
        return False

    def differences(self, record: RunRecord | None) -> list[str]:
        """Return the differences between the model and *record*."""
        if record is None:
            # Its component has not been built yet.
            return [f"{self.path}: no record"] if self.calls else []
        expected = {
            "state": self.state,
            "attempt": self.attempt,
            "restarts": max(0, self.attempt - 1),
            "next_at": self.next_at,
            "policy": self.policy,
            "is_ready": self.state in (RunState.RUNNING, RunState.ENDED),
        }
        found = {name: getattr(record, name) for name in expected}
        text = record.last_error
        expected["last_error"] = self.last_error
        found["last_error"] = "RunReturned" if text is not None and text.startswith("RunReturned") else text
        different = [f"{self.path}: {name} is {found[name]}" for name in expected if expected[name] != found[name]]
        if (self.work.calls, self.work.at_once) != (self.calls, min(self.calls, 1)):
            different.append(f"{self.path}: {self.work.calls} calls, {self.work.at_once} at once, not {self.calls}")
        return different


class RunsAndModel(RuleBasedStateMachine):
    """Applies the same steps to the runs of a bus and to their models."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.models: list[Model] = []
        self.state = State.STOPPED

    @initialize(
        policies=st.lists(
            st.tuples(st.sampled_from(POLICIES), st.sampled_from([InThread, AsTask])), min_size=1, max_size=4
        )
    )
    def build(self, policies: list[tuple[Restart | None, type[InThread | AsTask]]]) -> None:
        members: dict[str, Any] = {"bus": Component(Bus, clock=self.clock)}
        for number, (policy, kind) in enumerate(policies):
            work = Work()
            component: Component[Any] = Component(kind, work)
            members[f"run{number}"] = component if policy is None else component.supervised(policy)
            self.models.append(Model(f"Shop.run{number}", policy, work))
        shop: Container = type("Shop", (Container,), members)()
        self.bus = shop.attach()

    def running(self) -> list[Model]:
        return [model for model in self.models if model.state is RunState.RUNNING]

    @precondition(lambda self: self.state is not State.STARTED)
    @rule()
    def start(self) -> None:
        self.bus.start()
        self.state = State.STARTED
        for model in self.models:
            model.begin()

    @precondition(lambda self: self.state is State.STARTED)
    @rule(exits=st.booleans())
    def stop(self, exits: bool) -> None:
        (self.bus.exit if exits else self.bus.stop)()
        self.down(State.EXITED if exits else State.STOPPED)

    def down(self, state: State) -> None:
        self.state = state
        for model in self.models:
            model.end()

    @precondition(lambda self: self.running())
    @rule(data=st.data(), kind=st.sampled_from([OSError, PermissionError, None]))
    def finish(self, data: st.DataObject, kind: type[Exception] | None) -> None:
        self.let_finish(data.draw(st.sampled_from(self.running())), None if kind is None else kind("gone"))

    @precondition(lambda self: self.running())
    @rule(data=st.data(), times=st.integers(2, 4), seconds=st.sampled_from([0, 0, 12, 25]))
    def fail_in_a_row(self, data: st.DataObject, times: int, seconds: float) -> None:
        model = data.draw(st.sampled_from(self.running()))
        for _ in range(times):
            if model.state is RunState.RUNNING:
                self.let_finish(model, OSError("gone"))
                self.agree()
            if model.next_at is not None:
                self.advance_by(model.next_at - self.clock.now() + seconds)
                self.agree()

    def let_finish(self, model: Model, error: BaseException | None) -> None:
        model.work.orders.put(error)
        if not model.finish(error, self.clock.now()):
            return
        with pytest.raises(RunFailed) as failed:
            self.bus.block()
        assert failed.value.path == model.path
        assert isinstance(failed.value.__cause__, RunReturned if error is None else type(error))
        self.down(State.EXITED)

    @rule(seconds=st.sampled_from([0.5, 2, 15, 60]))
    def advance(self, seconds: float) -> None:
        self.advance_by(seconds)

    def advance_by(self, seconds: float) -> None:
        self.clock.advance(seconds, sleepers=sum(model.state is RunState.WAITING for model in self.models))
        for model in self.models:
            model.advance(self.clock.now())

    @precondition(lambda self: self.state is not State.STARTED and len(self.models) < 6)
    @rule(is_task=st.booleans())
    def subscribe(self, is_task: bool) -> None:
        work = Work()
        call: Callable[..., Any] = work.as_task if is_task else work.in_thread
        before = self.bus.runs
        self.bus[RUN].subscribe(call)
        (path,) = self.bus.runs.keys() - before.keys()
        self.models.append(Model(path, None, work))

    @invariant()
    def agree(self) -> None:
        def differences() -> list[str]:
            records = self.bus.runs
            return [text for model in self.models for text in model.differences(records.get(model.path))]

        # A record, and the number of the calls, may change a moment after the step.
        until(lambda: not differences(), lambda: "\n".join(differences()), limit=20)

    def teardown(self) -> None:
        if self.models:
            self.bus.exit()
        assert [thread for thread in threading.enumerate() if thread.name.startswith("Shop.")] == []


TestRunsAndModel = pytest.mark.slow(RunsAndModel.TestCase)
TestRunsAndModel.settings = settings(max_examples=60, stateful_step_count=30, deadline=None, database=None)
