"""
A page on which a running process can be watched: its life, components, channels, failures, threads, settings and log.

`Inspector` is a component that serves the page itself, or is mounted in the application of a site.
``typedbus run --inspect`` adds one to a program. schema.json in this package describes the data of the page.
"""

from typedbus._base.exports import export
from typedbus.inspector._errors import HostError, HostsNeeded, TokenNeeded
from typedbus.inspector._inspector import PRIORITY as PRIORITY  # for `typedbus run`
from typedbus.inspector._inspector import Inspector

__all__ = ("HostError", "HostsNeeded", "Inspector", "TokenNeeded")

export(globals())
