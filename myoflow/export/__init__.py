"""Export: a store's recordings in other people's forms; BIDS-EMG with EDF and BDF."""

from __future__ import annotations

from myoflow.export.bids import Exported, export_bids

__all__ = ["Exported", "export_bids"]
