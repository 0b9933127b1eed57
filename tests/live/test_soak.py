"""A short soak: two real senders in trouble at once; `benchmarks/soak.py --minutes 10` is the long one."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def soak() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "soak.py"
    spec = importlib.util.spec_from_file_location("soak", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["soak"] = module
    spec.loader.exec_module(module)
    return module


def test_two_bad_sources_at_once(soak: ModuleType) -> None:
    lsl = importlib.util.find_spec("pylsl") is not None
    watches = soak.soak(25.0, each=1.5, dies=9.0, lsl=lsl)
    for watch in watches:
        told = "\n".join(soak.report(watch))
        summary, books = watch.session.summary, watch.sender.books
        assert not watch.error and watch.sender.failed is None, told
        assert not watch.wrong and watch.checked > 50, told
        assert books.troubles["death"] >= 1 and summary.events["gap"] >= 2, told
        if isinstance(watch.sender, soak.TcpSender):
            # Of two frames that were swapped the first may come too late where the sender was held up between them.
            assert summary.samples["gap"] - summary.samples.get("late", 0) == books.lost, told
            assert summary.events["lost"] == summary.events["returned"] == books.troubles["death"], told
        else:  # stamps: to the jitter of each loss
            trouble = books.troubles.get("gap", 0) + books.troubles["death"]
            assert abs(summary.samples["gap"] - books.lost) <= 50 * trouble, told
