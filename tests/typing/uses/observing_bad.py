"""Invalid uses of logging, systemd and health; a marked line is an error for both checkers."""

from collections.abc import AsyncIterator, Awaitable

from typedbus import Bus, Component, Container, on
from typedbus.plugins.health import ALIVE, READY, Check, Health
from typedbus.plugins.logs import Logging
from typedbus.plugins.systemd import Systemd, activated


class Database:
    @on(READY)  # E
    def returns_nothing(self) -> None: ...

    @on(READY)  # E
    def returns_a_bool(self) -> bool:
        return True

    @on(ALIVE)  # E
    def needs_an_argument(self, least: int) -> Check:
        return Check(least > 0)

    @on(READY)  # E
    async def returns_nothing_later(self) -> None: ...

    @on(READY)  # E
    async def returns_a_bool_later(self) -> bool:
        return True

    @on(ALIVE)  # E
    async def needs_an_argument_later(self, least: int) -> Check:
        return Check(least > 0)

    @on(READY)  # E
    async def generates(self) -> AsyncIterator[Check]:
        yield Check(True)

    @on(READY)  # E
    async def returns_a_future(self) -> Awaitable[Check]:
        return later()

    @on(READY)
    async def check(self) -> Check:
        return Check(True)

    async def unmarked(self) -> bool:
        return True


async def later() -> Check:
    return Check(True)


async def needs_an_argument(least: int) -> Check:
    return Check(least > 0)


class Site(Container):
    bus = Component(Bus)
    unbound = Component(Logging, bus)  # E
    positional = Component(Logging, bus.provided, "site")  # E
    numbered = Component(Logging, bus.provided, file=1)  # E
    misspelt = Component(Logging, bus.provided, fiel="site.log")  # E
    nowhere = Component(Systemd)  # E
    numbers = Component(Systemd, bus.provided, environ={"NOTIFY_SOCKET": 1})  # E
    seconds = Component(Health, bus.provided, limit="1 s")  # E
    unlimited = Component(Health, bus.provided, limit=None)  # E
    unfit = Component(Database).on(READY.calls(Database.unmarked))  # E
    misfit = Component(Logging, bus.provided).on(READY.calls(Logging.start))  # E


def use(bus: Bus, health: Health) -> None:
    bus[READY].subscribe(lambda: "well")  # E
    bus[READY].subscribe(needs_an_argument)  # E
    bus[READY].subscribe(Database().unmarked)  # E
    Database().check().is_ok  # E
    bus[READY].publish()[0].is_ok  # E
    health.ready_async().is_ok  # E
    health.last_alive.is_ok  # E
    Check()  # E
    Check("well")  # E
    health.ready().checks[0].is_ok = True  # E
    health.ready()["is_ok"]  # E
    activated(1)  # E
    Logging(bus).log_message("hello")  # E
