"""Valid constructions and attributes of exceptions."""

from typing import assert_type

from typedbus import HookTimeout, LimitError, State, StillRunning, TransitionError, WaitError

error = TransitionError(State.STARTED, State.STARTED)
assert_type(error.state, State)

WaitError(frozenset({State.STARTED}), "it has exited")
WaitError(frozenset(), "not a state", given=3)
LimitError(name="stop", given="soon")

assert_type(StillRunning((("poller", "in poll"),), 5.0).threads, tuple[tuple[str, str], ...])
assert_type(HookTimeout("Shop.web", "start", "shop.py:3", 2.0, None, "hook", "in start", ()).limit, float | None)


def described(raised: Exception) -> str:
    """Return the name in a limit error."""
    match raised:
        case LimitError(name, _):
            assert_type(name, str)
            return name
        case _:
            return ""


class TooSlow(LimitError):
    """A kind of limit error with a constructor of its own."""

    def __init__(self, seconds: float) -> None:
        super().__init__("stop", seconds)


TooSlow(3.5)
