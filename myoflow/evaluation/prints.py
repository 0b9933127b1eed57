"""Prints: what tells that two stored recordings are the same, whatever they are called."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

SMALLEST = 256  # bytes of a compressed chunk; fewer hold next to nothing, such as zeros before a recorder started


def fingerprint(recording: Path) -> str:
    """SHA-256 of a stored recording's first samples, as they lie on disk; empty where they say next to nothing."""
    chunk = recording / "emg" / "c" / "0" / "0"
    if not chunk.is_file():
        return ""
    data = chunk.read_bytes()
    return hashlib.sha256(data).hexdigest() if len(data) >= SMALLEST else ""


def twins(test: Mapping[str, str], learned: Mapping[str, str]) -> list[tuple[str, str]]:
    """Pairs (test id, learned id) of recordings with the same fingerprint under different ids."""
    known = {mark: name for name, mark in learned.items() if mark}
    return [(name, known[mark]) for name, mark in test.items() if mark in known and known[mark] != name]
