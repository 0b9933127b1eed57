"""Face: muscles of speech, what drives them, and where the eight electrodes sit.

Positions are cm on a flattened face seen from the front: x to the speaker's right, y up, both from the middle of the
mouth; depth below the skin besides. The electrodes are those of Gaddy and Klein (EMNLP 2020, table 3). Positions of
muscles and which gesture asks which muscle are written by hand from anatomy's plain statements.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from attrs import frozen

from myoflow.simulate.speech.phones import GESTURES

Floats = npt.NDArray[np.floating[Any]]

# Muscle: x, y, depth in cm on the right half (mirrored to the left), and its share for each gesture.
MUSCLES: dict[str, tuple[float, float, float, dict[str, float]]] = {
    "zygomaticus": (4.0, 2.2, 0.9, {"spread": 1.0, "lips_open": 0.15}),
    "levator_labii": (2.2, 2.4, 0.8, {"lips_open": 0.5, "labiodental": 0.35, "spread": 0.25}),
    "orbicularis_superior": (1.4, 0.8, 0.5, {"lips_closed": 0.85, "rounded": 0.8}),
    "orbicularis_inferior": (1.4, -0.9, 0.5, {"lips_closed": 0.9, "rounded": 0.7, "labiodental": 0.75}),
    "depressor_anguli": (2.6, -2.0, 0.6, {"lips_open": 0.7, "jaw_open": 0.35, "spread": 0.15}),
    "mentalis": (0.8, -2.8, 0.7, {"lips_closed": 0.55, "rounded": 0.55, "labiodental": 0.4}),
    "masseter": (5.8, -1.6, 1.0, {"jaw_closed": 0.8}),
    "digastric": (1.2, -5.0, 0.8, {"jaw_open": 0.9, "root": 0.15}),
    "mylohyoid": (1.5, -5.6, 1.5, {"tip": 0.8, "front": 0.5, "back": 0.5, "dental": 0.5}),
    "genioglossus": (0.5, -4.6, 2.5, {"front": 0.9, "tip": 0.5, "dental": 0.8}),
    "styloglossus": (3.2, -4.4, 2.4, {"back": 1.0, "root": 0.8}),
    "laryngeal": (1.0, -9.0, 1.2, {"voiced": 0.8}),
}
LARYNX = list(MUSCLES).index("laryngeal")

ELECTRODES: dict[str, tuple[float, float]] = {
    "cheek_left": (-2.6, 1.1),
    "chin_left": (-1.9, -2.6),
    "below_chin": (0.0, -5.6),
    "throat_left": (-3.0, -8.6),
    "jaw_right": (5.4, -3.4),
    "cheek_right": (2.7, -1.1),
    "cheek_nose_right": (3.0, 2.6),
    "cheek_back_right": (6.6, 0.6),
}
# Calibrated, with contamination.NOISE and the rest, to the levels of the real set (see docs/design.md).
GAINS = (0.63, 1.4, 0.48, 1.6, 1.18, 0.76, 0.6, 0.85)
MICROVOLTS = 750.0
SHIFT_CM = 0.35  # how far an electrode lands from where it should, each session
GROUPS = 4  # of a muscle's units: left and right, small and large


@frozen(eq=False)
class Mounting:
    """How the electrodes sit in one session: `gain` `(electrode, group)` and `width_s` of each group's potentials.

    `phase` `(group,)` is the shape of its potentials. Groups are GROUPS rows a muscle, in MUSCLES' order.
    """

    gain: Floats
    width_s: Floats
    phase: Floats


def weights() -> Floats:
    """How much each gesture asks of each muscle, `(muscle, gesture)`."""
    return np.array([[share.get(name, 0.0) for name in GESTURES] for _, _, _, share in MUSCLES.values()])


def mounting(person: np.random.Generator, session: np.random.Generator) -> Mounting:
    """Electrodes put on anew: `person` draws what stays (fibres' shapes), `session` where the electrodes land."""
    count = len(MUSCLES)
    table = np.array([row[:3] for row in MUSCLES.values()])
    side = np.tile([-1.0, -1.0, 1.0, 1.0], count)
    slow = np.tile([0.0, 1.6, 0.0, 1.6], count)  # ms: large units here have the narrower potentials
    x, y, depth = (np.repeat(column, GROUPS) for column in table.T)
    x = side * x + person.normal(0, 0.15, x.size)
    y = y + person.normal(0, 0.15, y.size)
    phase = person.normal(0, 0.5, x.size)
    width_ms = (1.5 + 0.6 * depth + slow) * np.exp(person.normal(0, 0.1, x.size))
    strength = person.lognormal(0, 0.1, x.size)
    place = np.array(list(ELECTRODES.values())) + session.normal(0, SHIFT_CM, (len(ELECTRODES), 2))
    contact = np.asarray(GAINS) * session.lognormal(0, 0.2, len(ELECTRODES))
    square = (place[:, :1] - x) ** 2 + (place[:, 1:] - y) ** 2 + depth**2 + 0.3
    gain = MICROVOLTS * contact[:, None] * strength * square**-0.75
    return Mounting(gain, np.broadcast_to(1e-3 * width_ms, gain.shape).copy(), phase)
