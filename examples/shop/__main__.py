"""``python -m examples.shop``: the shop as a program."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from examples.shop import container
from examples.shop.settings import SHOP_TOML, SettingsError, load_settings
from typedbus import Component, run


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the shop as the command line says, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m examples.shop", description="Take orders from a file.")
    parser.add_argument("--settings", type=Path, default=SHOP_TOML, metavar="FILE", help="a TOML file")
    parser.add_argument("--orders", type=Path, metavar="FILE", help="in the place of what the settings say")
    parser.add_argument("--database", type=Path, metavar="FILE", help="in the place of what the settings say")
    chosen = parser.parse_args(arguments)
    try:
        loaded = load_settings(chosen.settings, orders=chosen.orders, database=chosen.database)
    except SettingsError as error:
        parser.error(str(error))

    # A container declares anew what this process wants otherwise; whatever
    # refers to the settings gets these.
    class Shop(container.Shop):
        settings = Component(lambda: loaded)

    return run(Shop)


if __name__ == "__main__":
    raise SystemExit(main())
