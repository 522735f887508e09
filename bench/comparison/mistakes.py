"""Mistakes in the programs that are compared, each a change of their text."""

from __future__ import annotations

import attrs

Change = tuple[str, str]
"""A part of a program, which occurs once, and the text in its place."""


@attrs.frozen
class Mistake:
    """
    A mistake in a program or in its test.

    Attributes:
        name: What is wrong.
        changes: The changes by package. A package is missing if the mistake cannot be written with it.
        in_test: Whether the test is changed, and not the program.
    """

    name: str
    changes: dict[str, tuple[Change, ...]]
    in_test: bool = False


_UNDECLARED = ("Engine, Orders, Session", "Engine, Orders, Session, Statistics")
_UNUSED = ('fake = Session(Engine("fake"))', 'fake = Engine("fake")')
_ROWS = ('    assert fake.rows == ["tea"]\n', "")
_IMPORT = ("import Engine, Session", "import Engine")

MISTAKES = (
    Mistake(
        "the engine gets a number as its URL",
        {
            "typedbus": (("Component(Engine, URL)", "Component(Engine, 5432)"),),
            "dishka": (("Engine(URL)", "Engine(5432)"),),
            "wireup": (("Engine(URL)", "Engine(5432)"),),
            "svcs": (("Engine(URL)", "Engine(5432)"),),
            "that-depends": (("open_engine, URL", "open_engine, 5432"),),
        },
    ),
    Mistake(
        "the service gets the engine as its session",
        {
            "typedbus": (("Scoped(Orders, session.provided)", "Scoped(Orders, engine.provided)"),),
            "that-depends": (("Factory(Orders, session.cast)", "Factory(Orders, engine.cast)"),),
        },
    ),
    Mistake(
        "the session is not declared",
        {
            "typedbus": (("    session = Scoped(open_session, engine.provided)\n", ""),),
            "dishka": (("    @provide\n    async def session", "    async def session"),),
            "wireup": (("[open_engine, open_session, orders]", "[open_engine, orders]"),),
            "svcs": (
                (
                    "    registry.register_factory(Session, svcs.aautowire(open_session), suppress_context_exit=False)\n",
                    "",
                ),
            ),
            "that-depends": (("    session = providers.ContextResource(open_session, engine.cast)\n", ""),),
        },
    ),
    Mistake(
        "the route needs an object that is not declared",
        {
            "typedbus": (
                _UNDECLARED,
                ("injected(Shop.orders)", "injected(Shop.statistics)"),
                ("place(orders: Orders", "place(orders: Statistics"),
            ),
            "dishka": (_UNDECLARED, ("FromDishka[Orders]", "FromDishka[Statistics]")),
            "wireup": (_UNDECLARED, ("Injected[Orders]", "Injected[Statistics]")),
            "svcs": (_UNDECLARED, ("aget(Orders)", "aget(Statistics)")),
            "that-depends": (
                _UNDECLARED,
                ("Annotated[Orders, Depends(Shop.orders)]", "Annotated[Statistics, Depends(Shop.statistics)]"),
            ),
        },
    ),
    Mistake(
        "the route receives another class than its annotation names",
        {
            "typedbus": (("injected(Shop.orders)", "injected(Shop.session)"),),
            "svcs": (("orders = await services.aget(Orders)", "orders: Orders = await services.aget(Session)"),),
            "that-depends": (("Depends(Shop.orders)", "Depends(Shop.session)"),),
        },
    ),
    Mistake(
        "the service lives as long as the process and keeps a session",
        {
            "typedbus": (("Scoped(Orders,", "Component(Orders,"),),
            "dishka": (("provide(Orders)", "provide(Orders, scope=Scope.APP)"),),
            "wireup": (('injectable(Orders, lifetime="scoped")', "injectable(Orders)"),),
            "that-depends": (("providers.Factory(Orders", "providers.Singleton(Orders"),),
        },
    ),
    Mistake(
        "an override has another class",
        {
            "typedbus": (_UNUSED, _ROWS, _IMPORT),
            "dishka": (_UNUSED, _ROWS),
            "wireup": (_UNUSED, _ROWS),
            "svcs": (_UNUSED, _ROWS),
            "that-depends": (_UNUSED, _ROWS, _IMPORT),
        },
        in_test=True,
    ),
)

_SENT = """\
        error = yield session
        if error is None:
            await session.commit()
        else:
            await session.roll_back()
"""
_THROWN = """\
        try:
            yield session
        except BaseException:
            await session.roll_back()
            raise
        await session.commit()
"""

VARIANTS = {
    "dishka": ("dishka, `try`/`except` around the `yield`", ((_SENT, _THROWN),)),
    "svcs": ("svcs, without `suppress_context_exit=False`", ((", suppress_context_exit=False", ""),)),
}
"""For some packages, the same program in the form that is written first: its name, and the changes."""
