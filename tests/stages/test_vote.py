"""vote: a causal majority, with the latest vote deciding ties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from myoflow.errors import PlanError
from myoflow.spec import SCORES, Spec
from myoflow.stages.vote import Vote
from myoflow.typed import Duration

SPEC = Spec.signal(4, 200.0, labels=("a", "b", "c")).evolve(dims=SCORES, sizes=(None, 3), step_s=0.25)


def decide(votes: list[int], span: int) -> list[int]:
    return Vote(span).kernel(SPEC).feed(np.eye(3, dtype=np.float32)[votes]).argmax(1).tolist()


def test_by_hand():
    assert decide([0, 0, 1, 0, 1, 1, 2, 2], 3) == [0, 0, 0, 0, 1, 1, 1, 2]
    assert decide([0, 1, 2], 3) == [0, 1, 2]  # all tied: the latest
    assert decide([2, 0, 1, 1, 0, 2], 4) == [2, 0, 1, 1, 0, 1]  # last four 1 1 0 2: the majority, not the latest


def test_output_is_a_share_of_votes():
    out = Vote(2).kernel(SPEC).feed(np.eye(3, dtype=np.float32)[[0, 1]])
    assert out[1] == pytest.approx([1 / 2.5, 1.5 / 2.5, 0])


@given(
    st.lists(st.integers(0, 2), min_size=1, max_size=40),
    st.integers(1, 9),
    st.lists(st.integers(0, 40), max_size=4),
)
def test_chunks_do_not_matter_and_the_rule_holds(votes, span, cuts):
    x = np.eye(3, dtype=np.float32)[votes]
    whole = Vote(span).kernel(SPEC).feed(x)
    kernel = Vote(span).kernel(SPEC)
    pieces = [kernel.feed(piece) for piece in np.split(x, sorted(min(c, len(x)) for c in cuts))]
    assert np.array_equal(np.concatenate([*pieces, kernel.flush()]), whole)
    for k, decision in enumerate(whole.argmax(1)):
        recent = votes[max(0, k - span + 1) : k + 1]
        best = max(recent.count(v) for v in recent)
        assert decision == next(v for v in reversed(recent) if recent.count(v) == best)


def test_span_in_time_and_errors():
    assert Vote("1 s").windows(SPEC) == 4
    assert Vote(5).span == 5 and Vote("5 s").span == Duration(5.0)
    assert Vote(3).remembers
    for span, words in (("10 samples", "not samples"), ("100 ms", "holds no window; one window comes every 0.25 s")):
        with pytest.raises(PlanError, match=words) as caught:
            Vote(span).plan(SPEC)
        assert caught.value.field == "span"
    with pytest.raises(PlanError, match="span of 0 holds no window"):
        Vote(0).plan(SPEC)
