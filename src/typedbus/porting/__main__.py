"""The command ``python -m typedbus.porting``."""

from __future__ import annotations

from typedbus.porting import main

if __name__ == "__main__":
    raise SystemExit(main())
