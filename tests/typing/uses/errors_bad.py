"""Invalid constructions and attributes of exceptions; a marked line is an error for both checkers."""

from typedbus import LimitError, State, StillRunning, TransitionError, WaitError

TransitionError(State.STARTED)  # E
TransitionError(State.STARTED, "STARTED")  # E
TransitionError(State.STARTED, State.STARTED, State.STARTED)  # E
WaitError("STARTED", "it has exited")  # E
LimitError(name="stop", value=3)  # E
StillRunning([1, 2], 5.0)  # E
LimitError("stop", 3).limit  # E
number: int = LimitError("stop", 3).name  # E
