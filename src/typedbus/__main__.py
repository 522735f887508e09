"""The command `typedbus`, and ``python -m typedbus``."""

from __future__ import annotations

import sys
from importlib.util import find_spec

from typedbus._os.stdio import protect


def main() -> int:
    """
    Carry out the command line and return the exit status; 2 without what the extra `cli` installs.

    Standard streams that cannot be written are no error of the process; see `typedbus._os.stdio`.
    """
    protect()
    if find_spec("click") is None or find_spec("rich") is None:
        print('the command line needs click and rich: pip install "typedbus[cli]"', file=sys.stderr)
        return 2
    from typedbus.cli import main as carry_out

    return carry_out()


if __name__ == "__main__":
    raise SystemExit(main())
