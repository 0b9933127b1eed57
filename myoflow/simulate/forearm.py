"""Forearm: muscles on a cross-section, which gesture drives which, and how one subject's arm differs from the next.

Angles go around the forearm from the thumb side (0°) over the palm side (90°) and the little-finger side (180°) to the
back (270°), as on a right arm seen towards the hand. Positions and weights are written by hand from anatomy
atlases' plain statements (what lies where, what moves what); they are plausible, not measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from attrs import frozen

Floats = npt.NDArray[np.floating[Any]]

# Muscle: angle in degrees, depth of its middle below the fascia in cm, share of the signal.
MUSCLES: dict[str, tuple[float, float, float]] = {
    "brachioradialis": (10, 0.8, 0.8),
    "pronator_teres": (48, 1.2, 0.8),
    "flexor_carpi_radialis": (75, 0.8, 0.9),
    "palmaris_longus": (98, 0.6, 0.5),
    "finger_flexors_superficial": (120, 1.4, 1.1),
    "flexor_carpi_ulnaris": (155, 0.8, 0.9),
    "finger_flexors_deep": (165, 2.0, 1.2),
    "thumb_flexor": (65, 2.2, 0.7),
    "extensor_carpi_ulnaris": (225, 0.8, 0.9),
    "finger_extensors": (265, 0.8, 1.0),
    "thumb_extensors": (280, 1.8, 0.8),
    "extensor_carpi_radialis": (318, 0.9, 1.1),
    "supinator": (335, 2.0, 0.8),
}

# Gesture: activity of its muscles at full effort; muscles not named are quiet.
SYNERGIES: dict[str, dict[str, float]] = {
    "rest": {},
    "fist": {
        "finger_flexors_superficial": 0.8,
        "finger_flexors_deep": 0.8,
        "thumb_flexor": 0.6,
        "extensor_carpi_radialis": 0.5,
        "extensor_carpi_ulnaris": 0.3,
        "finger_extensors": 0.25,
        "flexor_carpi_ulnaris": 0.3,
        "flexor_carpi_radialis": 0.2,
    },
    "flexion": {
        "flexor_carpi_radialis": 0.8,
        "flexor_carpi_ulnaris": 0.7,
        "palmaris_longus": 0.7,
        "finger_flexors_superficial": 0.4,
        "finger_flexors_deep": 0.2,
        "finger_extensors": 0.15,
        "extensor_carpi_radialis": 0.1,
    },
    "extension": {
        "extensor_carpi_radialis": 0.8,
        "extensor_carpi_ulnaris": 0.7,
        "finger_extensors": 0.6,
        "thumb_extensors": 0.3,
        "flexor_carpi_ulnaris": 0.1,
        "finger_flexors_superficial": 0.1,
    },
    "radial": {
        "extensor_carpi_radialis": 0.65,
        "flexor_carpi_radialis": 0.55,
        "thumb_extensors": 0.5,
        "brachioradialis": 0.25,
        "finger_extensors": 0.15,
    },
    "ulnar": {
        "extensor_carpi_ulnaris": 0.75,
        "flexor_carpi_ulnaris": 0.75,
        "finger_extensors": 0.2,
        "finger_flexors_deep": 0.15,
    },
    "open": {
        "finger_extensors": 0.8,
        "thumb_extensors": 0.75,
        "extensor_carpi_ulnaris": 0.4,
        "extensor_carpi_radialis": 0.3,
        "flexor_carpi_ulnaris": 0.15,
        "finger_flexors_superficial": 0.1,
    },
    "pinch": {
        "thumb_flexor": 0.7,
        "finger_flexors_superficial": 0.5,
        "finger_flexors_deep": 0.35,
        "extensor_carpi_radialis": 0.3,
        "thumb_extensors": 0.3,
        "finger_extensors": 0.15,
    },
    "pronation": {"pronator_teres": 0.8, "flexor_carpi_radialis": 0.3, "finger_extensors": 0.1},
    "supination": {"supinator": 0.8, "brachioradialis": 0.3, "thumb_extensors": 0.25, "extensor_carpi_radialis": 0.15},
}

GROUPS = 4  # of each muscle's units: two territories, small and large units in each


@frozen(eq=False)
class Arm:
    """One subject: anatomy and habits that stay from session to session.

    `position` `(group, 2)` in cm from the bone axis, GROUPS rows per muscle in their table's order; `phase` `(group,)`
    the shape of each group's MUAP; `strength` `(group,)` relative amplitude; `synergy` gesture -> activity `(muscle,)`;
    `tone` the resting drive; `radius_cm` of the skin; `spread` how much repetitions differ.
    """

    position: Floats
    phase: Floats
    strength: Floats
    synergy: dict[str, Floats]
    tone: float
    radius_cm: float
    spread: float


def arm(
    rng: np.random.Generator,
    muscles: Mapping[str, tuple[float, float, float]] = MUSCLES,
    synergies: Mapping[str, Mapping[str, float]] = SYNERGIES,
) -> Arm:
    """A subject drawn from the population: limb size, fat, muscle positions, strengths and synergies vary."""
    table = np.array(list(muscles.values()))
    count = len(table)
    fascia = rng.uniform(3.5, 4.6)
    fat = rng.uniform(0.15, 0.7)
    angle = np.deg2rad(table[:, 0] + rng.normal(0, 10, count) + rng.normal(0, 6))
    depth = table[:, 1] * rng.lognormal(0, 0.12, count)
    centre = (fascia - depth)[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    position = np.repeat(centre, GROUPS, axis=0) + rng.normal(0, 0.3, (count * GROUPS, 2))
    # No fibre lies in the fat.
    reach = np.linalg.norm(position, axis=1, keepdims=True)
    position *= np.minimum(1.0, (fascia - 0.3) / reach)
    strength = table[:, 2] * rng.lognormal(0, 0.2, count) * rng.lognormal(0, 0.3)
    antagonism = rng.uniform(0.02, 0.12)
    synergy: dict[str, Floats] = {}
    for name, activities in synergies.items():
        base = np.array([activities.get(muscle, 0.0) for muscle in muscles])
        drawn = base * rng.lognormal(0, 0.35, count) + antagonism * rng.random(count) * bool(activities)
        synergy[name] = np.clip(drawn, 0.0, 1.0)
    return Arm(
        position=position,
        phase=rng.normal(0, 0.5, count * GROUPS),
        strength=np.repeat(strength, GROUPS),
        synergy=synergy,
        tone=rng.uniform(0.0, 0.03),
        radius_cm=fascia + fat,
        spread=rng.uniform(0.15, 0.3),
    )
