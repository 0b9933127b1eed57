"""Formats: one file per kind of file that recorders and laboratories write, each from bytes to `Signals`."""

from __future__ import annotations

from myoflow.formats.base import FORMATS, Format, Mark, Signals, find_format, open_file

__all__ = ["FORMATS", "Format", "Mark", "Signals", "find_format", "open_file"]
