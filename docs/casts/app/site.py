"""A site of 40 components, for the recordings: one that starts, one with a component that fails, and one that hangs."""

from __future__ import annotations

import time
from typing import Final

from typedbus import Bus, Component, Container, Limits

#: Each component: how many seconds its start takes, and the components that it needs.
PARTS: Final = {
    "settings": (0.02, ""),
    "secrets": (0.1, "settings"),
    "clock": (0.02, ""),
    "database": (0.3, "settings secrets"),
    "replica": (0.2, "database"),
    "cache": (0.1, "settings"),
    "files": (0.05, "settings"),
    "mail": (0.2, "settings secrets"),
    "sms": (0.2, "settings secrets"),
    "queue": (0.15, "settings secrets"),
    "search": (1.4, "settings cache"),
    "currencies": (0.1, "cache"),
    "taxes": (0.05, "database"),
    "customers": (0.05, "database cache"),
    "accounts": (0.05, "customers secrets"),
    "sessions": (0.05, "accounts cache"),
    "products": (0.1, "database cache files"),
    "prices": (0.05, "products currencies taxes"),
    "stock": (0.1, "products"),
    "suppliers": (0.05, "database mail"),
    "purchasing": (0.05, "suppliers stock"),
    "carts": (0.05, "sessions prices"),
    "orders": (0.1, "database stock customers"),
    "payments": (0.2, "orders secrets"),
    "invoices": (0.05, "orders taxes files"),
    "refunds": (0.02, "payments invoices"),
    "shipping": (0.1, "orders queue"),
    "parcels": (0.05, "shipping"),
    "returns": (0.02, "parcels refunds"),
    "reviews": (0.05, "products customers"),
    "ratings": (0.02, "reviews"),
    "coupons": (0.02, "customers prices"),
    "newsletter": (0.05, "mail customers"),
    "reports": (0.1, "replica files clock"),
    "audit": (0.05, "queue clock"),
    "alerts": (0.02, "sms mail"),
    "catalogue": (0.1, "search prices"),
    "dashboard": (0.05, "reports catalogue"),
    "admin": (0.05, "dashboard accounts"),
    "web": (0.1, "catalogue carts"),
}


class Part:
    """A component whose start takes some time."""

    def __init__(self, seconds: float, *needed: object) -> None:
        self.seconds = seconds

    def start(self) -> None:
        """Connect."""
        time.sleep(self.seconds)

    def stop(self) -> None:
        """Disconnect."""
        time.sleep(0.02)


class Refused(Part):
    """A component whose server does not answer."""

    def start(self) -> None:
        """Fail."""
        time.sleep(2.0)
        raise ConnectionError("no answer from search.example:9200")


class Silent(Part):
    """A component that waits for a message that does not come."""

    def start(self) -> None:
        """Hang."""
        while True:
            time.sleep(60.0)


def site_with(search: type[Part]) -> type[Container]:
    """Return a container whose search is of this class."""
    parts: dict[str, Component[Part]] = {}
    for name, (seconds, needs) in PARTS.items():
        needed = [parts[need].provided for need in needs.split()]
        parts[name] = Component(search if name == "search" else Part, seconds, *needed)
    bus = Component(Bus, workers=6, limits=Limits(start=5.0))
    return type("Site", (Container,), {"bus": bus, **parts})


Site = site_with(Part)
Failing = site_with(Refused)
Hanging = site_with(Silent)
