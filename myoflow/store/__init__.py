"""The store: labelled recordings in zarr v3, one group each, written whole or not at all."""

from __future__ import annotations

from myoflow.store.index import Row, Tally
from myoflow.store.info import Info, info, info_table
from myoflow.store.read import Store, open_store
from myoflow.store.verify import verify
from myoflow.store.write import Writer

__all__ = ["Info", "Row", "Store", "Tally", "Writer", "info", "info_table", "open_store", "verify"]
