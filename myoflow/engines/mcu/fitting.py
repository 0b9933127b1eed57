"""Fitting: the memory plan of a network; of one for utterances, as long as they may be and still fit the chip."""

from __future__ import annotations

from typing import TYPE_CHECKING

from myoflow.engines.mcu import plan
from myoflow.errors import InputError

if TYPE_CHECKING:
    from myoflow.backend import Chip
    from myoflow.engines.mcu import layers as q


def fitted(network: q.Network, chip: Chip) -> tuple[q.Network, plan.MemoryPlan]:
    """The network as planned, and its plan.

    One for utterances is cut to the longest that fit, in samples.

    Raises:
        InputError: it does not fit, however short the utterances.
    """
    try:
        return network, plan.plan(network, chip)
    except InputError:
        if not network.open:
            raise
    low, high = 1, network.input.width
    best = plan.plan(network.at(low), chip)  # raises where nothing fits
    while high - low > 1:
        middle = (low + high) // 2
        try:
            low, best = middle, plan.plan(network.at(middle), chip)
        except InputError:
            high = middle
    return network.at(low), best
