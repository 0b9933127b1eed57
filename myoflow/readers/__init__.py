"""Readers: one file per raw format, from files as downloaded to recordings."""

from __future__ import annotations

from myoflow.readers.base import READERS, Item, Reader
from myoflow.readers.source import File, Source, open_source

__all__ = ["READERS", "File", "Item", "Reader", "Source", "open_source"]
