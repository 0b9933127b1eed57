"""Checkpoint: everything a training needs to go on as if it had never stopped."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from myoflow.errors import InputError
from myoflow.files import beside


def write(path: Path, state: dict[str, Any]) -> None:
    """Write beside, then rename: a kill leaves the old checkpoint or the new one, never half of one."""
    import torch

    with beside(path) as part:
        torch.save(state, part)


def read(path: Path, fingerprint: str) -> dict[str, Any] | None:
    """The state written at `path`, None when there is none. Never runs pickled code.

    Raises:
        InputError: the file is damaged, or its state's "fingerprint" says that it belongs to another training.
    """
    import torch

    for left in path.parent.glob(f".*-{path.name}"):  # as `beside` names them
        left.unlink(missing_ok=True)
    if not path.is_file():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        known = state["fingerprint"]
    except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, TypeError, OSError) as error:
        reason = (str(error).splitlines() or ["empty"])[0]
        raise InputError(f"{path} is not a readable checkpoint ({reason}); delete it to train from the start") from None
    if known != fingerprint:
        raise InputError(
            f"{path} belongs to a training with other settings: {_difference(known, fingerprint)}; "
            "restore them to resume, or delete it to train from the start"
        )
    return state


def _difference(old: str, new: str) -> str:
    """The first lines in which two fingerprints differ."""
    before, after = old.splitlines(), new.splitlines()
    for a, b in zip(before, after, strict=False):
        if a != b:
            return f"it has '{a}', this run '{b}'"
    return "one has more of them than the other"
