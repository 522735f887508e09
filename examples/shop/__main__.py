"""``python -m examples.shop``: the shop as a program."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from examples.shop.container import Shop
from examples.shop.settings import SHOP_TOML
from typedbus import run
from typedbus.settings import InvalidSettings, Sources, load


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the shop as the command line says, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m examples.shop", description="Take orders from a file.")
    parser.add_argument("--settings", type=Path, default=SHOP_TOML, metavar="FILE", help="a TOML file")
    parser.add_argument("--orders", metavar="FILE", help="overrides the settings")
    parser.add_argument("--database", metavar="FILE", help="overrides the settings")
    parsed = parser.parse_args(arguments)
    overrides = {"shop.orders": parsed.orders, "shop.database": parsed.database}
    options = {key: value for key, value in overrides.items() if value is not None}

    shop = Shop()
    try:
        load(shop, sources=Sources(files=(parsed.settings,), options=options))
    except InvalidSettings as error:
        parser.error(str(error))
    return run(shop)


if __name__ == "__main__":
    raise SystemExit(main())
