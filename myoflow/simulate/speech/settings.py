"""Settings: how large a simulated corpus is, and what is said in it."""

from __future__ import annotations

from typing import Literal

from myoflow.errors import InputError
from myoflow.typed import Hz, frozen

BOOK = "simulated"


@frozen
class Speech:
    """A corpus to simulate: `sentences` different ones, each said once silently and once aloud.

    `grammar` is what they are drawn from: digits, dates or open. They are spread over `sessions`, in each of which the
    electrodes are put on anew. `test` and `dev` sentences are held out. Phones last `pace` times as long as in fluent
    speech: who reads single sentences to a recorder takes time. `voice` is the synthesiser: our own `formant`,
    or `espeak`, which needs the library espeak-ng and sounds differently from one version of it to the next.

    Raises InputError: numbers that cannot be, or more held out than there is.
    """

    grammar: Literal["digits", "dates", "open"] = "dates"
    sentences: int = 500
    sessions: int = 4
    test: int = 100
    dev: int = 33
    pace: float = 1.3
    voice: Literal["formant", "espeak"] = "formant"
    mains_hz: Hz = 60.0
    seed: int = 1

    def __attrs_post_init__(self) -> None:
        for name, least in (("sentences", 3), ("sessions", 1), ("test", 1), ("dev", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise InputError(f"simulated speech: {name} must be at least {least}, got {getattr(self, name)}")
        if self.sessions > self.sentences:
            raise InputError(f"simulated speech: {self.sessions} sessions for {self.sentences} sentences")
        if self.test + self.dev >= self.sentences:
            raise InputError(
                f"simulated speech: test {self.test} and dev {self.dev} leave none of {self.sentences} to learn"
            )
        if not 0.5 <= self.pace <= 3:
            raise InputError(f"simulated speech: pace must be from 0.5 to 3, got {self.pace:g}")
        if not 0 < self.mains_hz < 500:
            raise InputError(f"simulated speech: mains_hz must lie below 500 Hz, got {self.mains_hz:g}")
