"""
The names of CherryPy's process bus, strings as channels and all, over a typed bus.

Large codebases that use ``cherrypy.process.wspbus`` migrate in steps. This package
keeps the old names and the old contract on top of a typed bus, so that one bus
serves both: a listener subscribed by name receives what typed code publishes on the
channel of that name, and vice versa. All differences between the contract and a
typed bus are in `_policy`.
"""

from typedbus._base.exports import export
from typedbus.wspbus._bus import Bus, bus

# The names with an underscore are those of the original, which old code may use.
from typedbus.wspbus._respawn import _startup_cwd, max_files  # pyright: ignore[reportPrivateUsage]
from typedbus.wspbus._states import (
    ChannelFailures,
    StateError,
    _StateEnum,  # pyright: ignore[reportPrivateUsage]
    states,
)

__all__ = ["Bus", "ChannelFailures", "StateError", "_StateEnum", "_startup_cwd", "bus", "max_files", "states"]


export(globals())
