"""Programs: compiled models kept under the cache by a hash of everything that decides them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np

from myoflow.files import beside, cache_folder

if TYPE_CHECKING:
    from myoflow.backend import Backend
    from myoflow.dsp.kernel import Array
    from myoflow.engine import Parameters, Segment

VERSION = 3  # raise it when the same segment is lowered to something else


def key(
    segment: Segment, backend: Backend, parameters: Parameters, calibration: Array | None, packages: Sequence[str]
) -> str:
    """Names a program by stages, Specs, weights, calibration, backend and the versions of what makes it."""
    digest = hashlib.sha256(f"{VERSION} {[(name, version(name)) for name in ('myoflow', *packages)]}".encode())
    digest.update(repr((segment.stages, segment.specs, segment.output, backend)).encode())
    for name in sorted(parameters.weights):
        values = np.ascontiguousarray(parameters.weights[name])
        digest.update(f"{name} {values.dtype} {values.shape}".encode() + values.tobytes())
    if calibration is not None:
        digest.update(f"{calibration.shape}".encode() + np.ascontiguousarray(calibration).tobytes())
    return digest.hexdigest()[:24]


def kept(name: str, make: Callable[[], bytes]) -> bytes:
    """The program of that name: read, or made and written. Its hash is written too: a damaged one is made again."""
    path = cache_folder("programs") / name
    size = hashlib.sha256().digest_size
    try:
        found = path.read_bytes()
        if hashlib.sha256(found[size:]).digest() == found[:size]:
            return found[size:]
    except OSError:
        pass
    data = make()
    with beside(path) as part:
        part.write_bytes(hashlib.sha256(data).digest() + data)
    return data
