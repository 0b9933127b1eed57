"""Phones: how long each lasts, what the articulators do for it, and what it sounds like.

Formants are close to the averages for men of Peterson and Barney, JASA 24:175 (1952); loci of consonants, durations and
gestures are written by hand from what textbooks of phonetics state in words. Plausible, not measured.
"""

from __future__ import annotations

from functools import cache

from attrs import frozen

# What the articulators can do; each phone asks for some of it, between 0 and 1. The velum has no gesture: no electrode
# of the set would see it, so p, b and m look alike, and so do t, d and n.
GESTURES = (
    "lips_closed", "labiodental", "rounded", "spread", "lips_open", "jaw_open", "jaw_closed",
    "tip", "dental", "front", "back", "root", "voiced",
)  # fmt: skip
_SHORT = dict(
    zip(("lc", "ld", "ro", "sp", "lo", "jo", "jc", "tt", "de", "fr", "ba", "rt", "vo"), GESTURES, strict=True)
)

SILENCE = "sil"

# Phone: kind, milliseconds, F1 F2 F3 in Hz, noise at Hz, gestures. A second line of a diphthong is where it ends.
_TABLE = """
aa vowel     120  730 1090 2440    0 jo=1 lo=.7 rt=.8 vo=1
ae vowel     125  660 1720 2410    0 jo=.85 lo=.7 sp=.5 fr=.35 vo=1
ah vowel      85  640 1190 2390    0 jo=.5 lo=.5 vo=1
ao vowel     120  570  840 2410    0 jo=.7 ro=.55 rt=.6 ba=.35 vo=1
aw vowel     150  700 1200 2450    0 jo=.95 lo=.7 rt=.6 vo=1
.                 440 1000 2300      jo=.35 ro=.8 ba=.6 vo=1
ay vowel     150  710 1150 2450    0 jo=.95 lo=.7 rt=.6 vo=1
.                 370 2050 2700      jo=.3 sp=.6 fr=.8 vo=1
b  stop       70  220  900 2300  700 lc=1 jc=.5 vo=.9
ch affricate 110  300 1800 2600 3200 tt=.8 fr=.8 ro=.35 jc=.7
d  stop       60  250 1750 2650 3600 tt=1 jc=.5 vo=.9
dh fricative  55  280 1350 2550 5200 de=1 jo=.15 vo=.8
eh vowel      95  530 1840 2480    0 jo=.55 lo=.5 sp=.4 fr=.45 vo=1
er vowel     110  490 1350 1690    0 ro=.35 jo=.35 fr=.4 ba=.4 rt=.4 vo=1
ey vowel     130  500 1900 2500    0 jo=.5 lo=.4 sp=.45 fr=.5 vo=1
.                 330 2200 2850      jo=.2 sp=.8 fr=.85 vo=1
f  fricative  95  300 1100 2350 6300 ld=1 jc=.3
g  stop       65  250 1600 2200 1900 ba=1 jc=.4 vo=.9
hh aspirate   60  500 1500 2500    0 jo=.3 lo=.3 rt=.2
ih vowel      75  390 1990 2550    0 jo=.3 sp=.4 fr=.6 vo=1
iy vowel     110  270 2290 3010    0 jo=.1 sp=.9 fr=.95 vo=1
jh affricate  95  300 1800 2600 3200 tt=.8 fr=.8 ro=.35 jc=.7 vo=.8
k  stop       80  300 1650 2250 1900 ba=1 jc=.4
l  liquid     65  360 1050 2700    0 tt=.75 rt=.45 jo=.3 vo=1
m  nasal      75  270 1000 2200    0 lc=1 jc=.5 vo=1
n  nasal      70  270 1600 2550    0 tt=1 jc=.5 vo=1
ng nasal      80  270 2000 2350    0 ba=1 jc=.35 vo=1
ow vowel     135  500  900 2400    0 jo=.5 ro=.7 ba=.5 vo=1
.                 330  750 2300      jo=.2 ro=1 ba=.7 vo=1
oy vowel     155  500  850 2400    0 jo=.55 ro=.8 ba=.5 vo=1
.                 360 2000 2650      jo=.25 sp=.6 fr=.8 vo=1
p  stop       80  300  900 2300  700 lc=1 jc=.5
r  liquid     65  330 1150 1580    0 ro=.45 tt=.35 rt=.5 ba=.25 vo=1
s  fricative 100  300 1750 2650 6000 tt=.85 fr=.35 sp=.35 jc=.9
sh fricative 105  300 1850 2600 3300 fr=.85 ro=.6 jc=.8
t  stop       75  300 1750 2650 4200 tt=1 jc=.5
th fricative  90  300 1350 2550 5400 de=1 jo=.15
uh vowel      80  440 1020 2240    0 jo=.3 ro=.6 ba=.5 vo=1
uw vowel     110  300  870 2240    0 jo=.15 ro=1 ba=.75 vo=1
v  fricative  65  280 1100 2350 6300 ld=1 jc=.3 vo=.8
w  glide      65  300  680 2200    0 ro=1 ba=.65 jc=.2 vo=1
y  glide      60  280 2250 2950    0 fr=1 sp=.6 jc=.2 vo=1
z  fricative  75  280 1750 2650 6000 tt=.85 fr=.35 sp=.35 jc=.9 vo=.8
zh fricative  80  280 1850 2600 3300 fr=.85 ro=.6 jc=.8 vo=.8
"""

Formants = tuple[float, float, float]


@frozen
class Phone:
    """One phone. `ends` are formants and gestures at a diphthong's end; elsewhere those of its middle.

    `noise_hz` is where its burst or friction is loudest, 0 without one. `gestures` are in the order of GESTURES.
    """

    name: str
    kind: str
    seconds: float
    formants: Formants
    gestures: tuple[float, ...]
    noise_hz: float = 0.0
    ends: tuple[Formants, tuple[float, ...]] | None = None

    @property
    def voiced(self) -> float:
        """How strongly the vocal folds sound, 0 to 1."""
        return self.gestures[-1]

    def end(self) -> tuple[Formants, tuple[float, ...]]:
        return self.ends or (self.formants, self.gestures)


@cache
def phones() -> dict[str, Phone]:
    """Every phone by name, silence among them."""
    found = {SILENCE: Phone(SILENCE, "silence", 0.2, (500.0, 1500.0, 2500.0), (0.0,) * len(GESTURES))}
    last = ""
    for line in _TABLE.strip().splitlines():
        words = line.split()
        if words[0] == ".":
            start = found[last]
            end = (_formants(words[1:4]), _gestures(words[4:]))
            found[last] = Phone(last, start.kind, start.seconds, start.formants, start.gestures, start.noise_hz, end)
            continue
        last, kind, milliseconds = words[0], words[1], words[2]
        formants, noise = _formants(words[3:6]), float(words[6])
        found[last] = Phone(last, kind, float(milliseconds) / 1000, formants, _gestures(words[7:]), noise)
    return found


def _formants(words: list[str]) -> Formants:
    first, second, third = (float(word) for word in words)
    return first, second, third


def _gestures(words: list[str]) -> tuple[float, ...]:
    asked = {_SHORT[name]: float(value) for name, _, value in (word.partition("=") for word in words)}
    return tuple(asked.get(name, 0.0) for name in GESTURES)
