"""The command line: one verb a function; heavy things are imported only inside a verb."""

from __future__ import annotations

import io
import sys

from myoflow.cli import backends, data, recipes, scores, stream, text
from myoflow.cli.app import app

__all__ = ["app", "backends", "data", "main", "recipes", "scores", "stream", "text"]


def main() -> None:
    """Entry point: errors of the user end in one line each and exit code 2, failures in 1."""
    from myoflow.errors import MyoflowError

    for output in (sys.stdout, sys.stderr):
        if isinstance(output, io.TextIOWrapper):
            output.reconfigure(errors="replace")  # a terminal without our characters gets question marks
    try:
        app()
    except MyoflowError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        print(f"{place}{error.strerror or error}", file=sys.stderr)
        sys.exit(1)
