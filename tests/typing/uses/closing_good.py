"""Valid functions that close a component."""

from typing import Protocol, assert_type

from declared import Database

from typedbus import Bus, Component, Container


class Engine:
    def dispose(self, close: bool = True) -> bool:
        return close


class AsyncEngine:
    async def dispose(self) -> None: ...


class Disposable(Protocol):
    def dispose(self) -> object: ...


def create_engine(url: str) -> Engine:
    return Engine()


def give_back(disposable: Disposable) -> None:
    disposable.dispose()


def forget(anything: object) -> None: ...


class Shop(Container):
    bus = Component(Bus)
    engine = Component(create_engine, "sqlite:").closed_by(Engine.dispose)
    async_engine = Component(AsyncEngine).closed_by(AsyncEngine.dispose)
    by_function = Component(create_engine, "sqlite:").closed_by(give_back)
    by_base = Component(Database, "sqlite:").closed_by(forget)
    by_lambda = Component(create_engine, "sqlite:").closed_by(lambda engine: engine.dispose(close=False))
    limited = Component(create_engine, "sqlite:").closed_by(Engine.dispose).within(3)


shop = Shop()
assert_type(shop.engine(), Engine)
assert_type(Shop.engine.provided, Engine)
assert_type(shop.by_function(), Engine)
assert_type(shop.by_base(), Database)
assert_type(shop.by_lambda(), Engine)
assert_type(shop.limited(), Engine)
