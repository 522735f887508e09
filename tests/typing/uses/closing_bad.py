"""Invalid functions that close a component; a marked line is an error for both checkers."""

from declared import Database

from typedbus import Bus, Component, Container


class Engine:
    def dispose(self, close: bool = True) -> bool:
        return close


class Special(Engine):
    """An engine with more methods."""

    def discard(self) -> None: ...


def close_within(engine: Engine, seconds: float) -> None: ...


def close() -> None: ...


class Shop(Container):
    bus = Component(Bus)
    of_another_class = Component(Database, "sqlite:").closed_by(Engine.dispose)  # E
    of_a_subclass = Component(Engine).closed_by(Special.discard)  # E
    with_too_many_parameters = Component(Engine).closed_by(close_within)  # E
    without_parameters = Component(Engine).closed_by(close)  # E
    called = Component(Engine).closed_by(Engine().dispose())  # E
    missing = Component(Engine).closed_by()  # E
