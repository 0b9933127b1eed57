"""Forearm: the tables agree with each other and subjects are possible arms."""

import numpy as np

from myoflow.simulate.forearm import GROUPS, MUSCLES, SYNERGIES, arm


def test_every_synergy_names_muscles_and_shares():
    for gesture, activities in SYNERGIES.items():
        assert set(activities) <= set(MUSCLES), gesture
        assert all(0 < a <= 1 for a in activities.values()), gesture


def test_flexors_lie_on_the_palm_side_and_extensors_on_the_back():
    for muscle, (angle, _, _) in MUSCLES.items():
        if "flexor" in muscle:
            assert 0 < angle < 180, muscle
        if "extensor" in muscle:
            assert 180 < angle < 360, muscle


def test_fibres_lie_inside_the_arm_and_subjects_differ():
    arms = [arm(np.random.default_rng([9, n])) for n in range(30)]
    for body in arms:
        assert body.position.shape == (len(MUSCLES) * GROUPS, 2)
        assert np.linalg.norm(body.position, axis=1).max() < body.radius_cm
        assert not body.synergy["rest"].any()
        assert all(a.min() >= 0 and a.max() <= 1 for a in body.synergy.values())
    assert np.std([body.radius_cm for body in arms]) > 0.1
    assert np.std([body.synergy["fist"] for body in arms], axis=0).max() > 0.1
