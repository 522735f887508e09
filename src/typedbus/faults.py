"""
The faults of a container: the members of `typedbus.InvalidContainer`.

The module that defines them is imported with the first use of a name.
"""

from typing import TYPE_CHECKING

from typedbus._base.exports import later as _later

if TYPE_CHECKING:
    from typedbus._container.faults import (
        ArgumentFault,
        BuildFault,
        BusFault,
        ChannelFault,
        ChoiceFault,
        ContributionFault,
        CycleFault,
        DependencyFault,
        DisabledFault,
        Fault,
        HiddenFault,
        HookFault,
        LibraryFault,
        LifetimeFault,
        MisspeltFault,
        OpenerFault,
        OverrideFault,
        ReferenceFault,
        ReplacementFault,
        TypeFault,
    )

__all__ = (
    "ArgumentFault",
    "BuildFault",
    "BusFault",
    "ChannelFault",
    "ChoiceFault",
    "ContributionFault",
    "CycleFault",
    "DependencyFault",
    "DisabledFault",
    "Fault",
    "HiddenFault",
    "HookFault",
    "LibraryFault",
    "LifetimeFault",
    "MisspeltFault",
    "OpenerFault",
    "OverrideFault",
    "ReferenceFault",
    "ReplacementFault",
    "TypeFault",
)

if not TYPE_CHECKING:  # with __getattr__, checkers would accept every name
    __getattr__ = _later(globals(), dict.fromkeys(__all__, "typedbus._container.faults"))
