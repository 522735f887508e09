"""
The names of CherryPy's process bus, strings as channels and all, over a typed bus.

Large codebases that live on ``cherrypy.process.wspbus`` move in steps. Here they
find the old names and the old contract, and behind these a typed bus, so that
one bus serves both: a listener that was subscribed by a name hears what typed
code publishes on the channel of that name, and the other way round. What the
contract demands and a typed bus does otherwise is in `_policy`, and nowhere else.
"""

from typedbus._base.exports import export
from typedbus.wspbus._bus import Bus, bus
from typedbus.wspbus._respawn import _startup_cwd, max_files
from typedbus.wspbus._states import ChannelFailures, StateError, _StateEnum, states

__all__ = ["Bus", "ChannelFailures", "StateError", "_StateEnum", "_startup_cwd", "bus", "max_files", "states"]


export(globals())
