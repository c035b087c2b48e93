"""What the installed command calls."""

from __future__ import annotations

import sys


def main() -> None:
    """`briskseg.cli.main`; Ctrl-C while it is loaded is no traceback either."""
    try:
        from briskseg.cli import main as run
    except KeyboardInterrupt:
        print("briskseg: interrupted", file=sys.stderr)
        raise SystemExit(130) from None
    run()
