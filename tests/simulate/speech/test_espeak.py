"""Speech by espeak-ng: phones where the script has them, the same in every process, and a clear word without it."""

from __future__ import annotations

import ctypes
import hashlib
import subprocess
import sys

import numpy as np
import pytest
from attrs import evolve

from myoflow.card import load_card
from myoflow.errors import InputError
from myoflow.readers import READERS
from myoflow.simulate.speech import corpus, espeak, timing
from myoflow.simulate.speech.lexicon import lexicon
from myoflow.simulate.speech.settings import Speech
from myoflow.simulate.speech.voice import RATE_HZ

SMALL = Speech(grammar="dates", sentences=24, sessions=2, test=4, dev=2, voice="espeak")
VOWELS = {"aa", "ae", "ah", "ao", "eh", "er", "ih", "iy", "uw", "ow", "ey", "ay"}


@pytest.fixture
def installed():
    try:
        espeak.require()
    except InputError as error:
        pytest.skip(str(error))


def digest(sound) -> str:
    return hashlib.sha256(np.ascontiguousarray(sound).tobytes()).hexdigest()


def test_phones_are_heard_where_the_script_has_them(installed):
    """What hisses lies above 3.5 kHz, what sings below, stops are quiet before they burst, and silence is silent."""
    from scipy.signal import butter, sosfilt

    high = butter(6, 3500, "high", fs=RATE_HZ, output="sos")
    levels: dict[str, list[float]] = {"hiss": [], "vowel": [], "closed": [], "loud": []}
    for clip in [clip for clip in corpus.clips(SMALL) if not clip.silent]:
        script = clip.of(SMALL).script[clip.number]
        if not script.words:
            continue
        _, clean = corpus.sound(SMALL, clip)
        assert len(clean) == round(script.seconds * RATE_HZ)
        sound = clean / 32768
        sharp = sosfilt(high, sound)
        for before, phone in zip(("sil", *(p.name for p in script.phones)), script.phones, strict=False):
            begin, end = round(phone.begin * RATE_HZ), round(phone.end * RATE_HZ)
            middle = slice(begin + (end - begin) // 4, end - (end - begin) // 4)
            share = float((sharp[middle] ** 2).sum() / max(1e-9, (sound[middle] ** 2).sum()))
            if phone.name in ("s", "z", "sh"):
                levels["hiss"].append(share)
            elif phone.name in VOWELS:
                levels["vowel"].append(share)
                levels["loud"].append(float((sound[middle] ** 2).mean()))
            elif phone.name in ("t", "k", "p") and before in VOWELS:
                levels["closed"].append(float((sound[begin + (end - begin) // 4 : middle.stop] ** 2).mean()))
        assert np.abs(sound[: round(script.words[0].begin * RATE_HZ)]).max() < 0.002
    hiss, vowel, closed, loud = (np.median(levels[name]) for name in levels)
    assert min(len(found) for found in levels.values()) > 8
    assert hiss > 0.5 > 0.05 > vowel
    assert closed < 0.1 * loud


def test_every_word_of_the_simulation_is_said(installed):
    words = espeak._words()
    assert set(words) == set(lexicon())
    assert all(np.abs(said.sound).max() > 0.05 for said in words.values())
    assert all(list(said.begins) == sorted(said.begins) for said in words.values())
    assert digest(words["sail"].sound) != digest(words["male"].sound)


@pytest.mark.slow
def test_another_process_says_the_same(installed):
    """Whatever it is asked first."""
    rng = np.random.default_rng
    said = [espeak.speak(text, timing.script(text, rng(3))) for text in ("wake me at ten", "call me")]
    code = (
        "import hashlib, numpy as np\n"
        "from myoflow.simulate.speech import espeak, timing\n"
        "for text in ('call me', 'wake me at ten'):\n"
        "    sound = espeak.speak(text, timing.script(text, np.random.default_rng(3)))\n"
        "    print(hashlib.sha256(np.ascontiguousarray(sound).tobytes()).hexdigest())\n"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.split() == [digest(said[1]), digest(said[0])]


def test_without_the_library_one_line_says_what_to_do(monkeypatch):
    def absent(name, *_, **__):
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", absent)
    espeak.require.cache_clear()
    card = load_card("simulated_speech")
    asking = evolve(card, options=card.options | {"voice": "espeak"})
    with pytest.raises(InputError, match=r"needs the library espeak-ng, .*apt install espeak-ng.*voice: formant"):
        list(READERS["simulated_speech"](asking).recordings(None))
    espeak.require.cache_clear()
