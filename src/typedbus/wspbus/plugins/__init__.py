"""
The old names of the plugins: what they do is done by `typedbus.plugins` wherever its way is not another one.

Their attributes, priorities and log lines are those of the original. The bus
that they are given is one of `typedbus.wspbus`.
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
