"""
The old names of the plugins, implemented by `typedbus.plugins` except where its behaviour differs.

Their attributes, priorities and log lines are those of the original. Their bus
is a bus of `typedbus.wspbus`.
"""

from typedbus._base.exports import export
from typedbus.wspbus.plugins._opsys import Daemonizer, DropPrivileges, PIDFile
from typedbus.wspbus.plugins._reloading import Autoreloader
from typedbus.wspbus.plugins._signals import SignalHandler
from typedbus.wspbus.plugins._simple import SimplePlugin
from typedbus.wspbus.plugins._tasks import BackgroundTask, Monitor, PerpetualTimer
from typedbus.wspbus.plugins._threads import ThreadManager

__all__ = [
    "Autoreloader",
    "BackgroundTask",
    "Daemonizer",
    "DropPrivileges",
    "Monitor",
    "PIDFile",
    "PerpetualTimer",
    "SignalHandler",
    "SimplePlugin",
    "ThreadManager",
]


export(globals())
