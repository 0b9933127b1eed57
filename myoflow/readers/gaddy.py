"""gaddy: silent and voiced speech of one person (Gaddy and Klein): EMG with audio, a button, text and phones."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import attrs
import numpy as np
import numpy.typing as npt

from myoflow.errors import InputError
from myoflow.readers.base import READERS, Item, Reader, Subject, bids_attributes, listed, sha256
from myoflow.readers.gaddy_files import Info, array, info_of, sound_of
from myoflow.readers.source import File, Source
from myoflow.readers.textgrid import Interval, tiers_of
from myoflow.recording import Events, Recording, Stream
from myoflow.text.spelling import CHARACTERS, letters, normalise
from myoflow.typed import frozen

if TYPE_CHECKING:
    from myoflow.card import Card

SUBJECT = "1"
WORD = "word"
_KINDS = {"emg": "npy", "audio": "flac", "audio_clean": "flac", "button": "npy", "info": "json"}
_NEEDED = ("emg", "audio", "button", "info")
_FILE = re.compile(r"(?:^|/)([^/]+)/([^/]+)/(\d+)_(emg|audio_clean|audio|button|info)\.(npy|flac|json)$")
_GRID = re.compile(r"(?:^|/)([^/]+)/\1_(\d+)_audio\.TextGrid$")
_SETS = {"silent_parallel_data", "voiced_parallel_data", "nonparallel_data", "silent", "voiced"}  # the last: closed
_QUIET = {"", "sp", "spn", "sil"}
_APART_S = 0.1  # audio and EMG may differ in length by this; what the set's own lists of reads say is within 0.02 s
_WRONG_S = 0.5  # above this, a sound or an alignment is not that of the EMG
_STILL_UV = 1.0  # EMG that moves by less is of no electrode on skin: the recorder's own noise is more
_LOST = 0.1  # share of values that may be no numbers
_ALIKE = 0.5  # share of words that an alignment has in common with the text, at least
_EXPECTED = (
    "folders such as voiced_parallel_data/5-4 with 0_emg.npy, 0_audio.flac, 0_button.npy, 0_info.json (and "
    "text_alignments beside them)"
)

Place = tuple[str, str, int]  # set, session folder, number


@frozen
class Options:
    """Which sentences of `book` are held out, by index: `test`, `dev`, and the smaller `dev_original`.

    `alignments: required` refuses a spoken sentence without a TextGrid, `given` takes what is there. A text whose
    letters are not all among `characters`, accents and punctuation aside, is refused; an empty list takes any.
    `attributes` are added to every recording as they are; use BIDS-EMG's names.
    """

    book: str = ""
    test: tuple[int, ...] = ()
    dev: tuple[int, ...] = ()
    dev_original: tuple[int, ...] = ()
    alignments: Literal["required", "given"] = "required"
    characters: str = CHARACTERS
    attributes: dict[str, Any] = attrs.Factory(dict)


@READERS.add("gaddy")
class Gaddy(Reader):
    """One recording an utterance, every sample as published (float64 rounded to float32).

    Streams: `audio`, `audio_clean` where it is there (int16 of full scale 32768) and `button`. Events are phones and
    each word as `word`, of spoken sentences; the words stand in the attribute `words`. The same sentence in the other
    mode is in `twins`, ids of this store, those of the same day first: silent and voiced are joined by book and
    sentence, never by file number. `subset` is train, dev or test; dev and test are silent recordings, and their
    spoken twins are `held_out`. `subset_original` is the same with the smaller dev list. Clips of silence (no
    sentence) have no text, no events and no subset: they are the noise profile and border the others.
    """

    Options = Options

    def __init__(self, card: Card) -> None:
        super().__init__(card)
        options: Options = self.options
        for name in ("test", "dev", "dev_original"):
            indices = getattr(options, name)
            if len(set(indices)) < len(indices):
                raise InputError(f"dataset {card.name}: options.{name}: names a sentence twice")
            shared = sorted(set(indices) & set(options.test)) if name != "test" else []
            if shared:
                raise InputError(
                    f"dataset {card.name}: options.{name}: {listed([str(i) for i in shared])} also in test"
                )

    def recordings(self, source: Source | None, wanted: Subject | None = None) -> Iterator[Item]:
        assert source is not None, "needs_source"
        if wanted is not None and not wanted(SUBJECT):
            return
        found: dict[Place, dict[str, str]] = {}
        grids: dict[tuple[str, int], str] = {}
        for name in source.names:
            if match := _GRID.search(name):
                grids[match[1], int(match[2])] = name
            match = _FILE.search(name)
            if match is None or match[1] not in _SETS or _KINDS[match[4]] != match[5]:
                continue
            kinds = found.setdefault((match[1], match[2], int(match[3])), {})
            if match[4] in kinds:
                raise InputError(f"{source.place} has the same file twice: {kinds[match[4]]} and {name}")
            kinds[match[4]] = name
        if not found:
            raise InputError(f"{source.place}: expected {_EXPECTED}; found {source.brief()}")
        ids = _ids(source, found)
        infos = self._infos(source, found, grids, ids)
        twins = _twins(infos)
        for place in sorted(infos, key=lambda place: ids[place]):
            grid = grids.get(place[1:])
            there = tuple(kind for kind in _KINDS if kind in found[place])
            yield Item(
                id=ids[place],
                parse=partial(
                    _recording,
                    self.card,
                    self.options,
                    place,
                    ids[place],
                    there,
                    tuple(ids[twin] for twin in twins.get(place, ())),
                ),
                names=tuple(found[place][kind] for kind in there) + ((grid,) if grid and not _silent(place) else ()),
                source=source,
            )

    def _infos(
        self,
        source: Source,
        found: Mapping[Place, Mapping[str, str]],
        grids: Mapping[tuple[str, int], str],
        ids: Mapping[Place, str],
    ) -> dict[Place, Info]:
        """What each utterance's `info.json` says; utterances that lack a file are refused."""
        rank = {name: i for i, name in enumerate(source.names)}  # the order in which an archive is best read
        infos: dict[Place, Info] = {}
        for place, kinds in sorted(found.items(), key=lambda item: rank.get(item[1].get("info", ""), 0)):
            lacking = [f"{place[2]}_{kind}.{_KINDS[kind]}" for kind in _NEEDED if kind not in kinds]
            if lacking:
                self.refuse(ids[place], f"{source.place}: {_said(place)} lacks {lacking[0]}")
                continue
            try:
                info = info_of(source.file(kinds["info"]))
            except InputError as error:
                self.refuse(ids[place], str(error))
                continue
            aligned = place[1:] in grids or info.index < 0 or _silent(place)
            if not aligned and self.options.alignments == "required":
                self.refuse(
                    ids[place],
                    f"{source.place}: {_said(place)} has no text_alignments/{place[1]}/{place[1]}_{place[2]}_audio"
                    ".TextGrid; put text_alignments beside the data, or set options.alignments to given",
                )
                continue
            infos[place] = info
        return infos


def _said(place: Place) -> str:
    return f"utterance {place[2]} of {place[0]}/{place[1]}"


def _silent(place: Place) -> bool:
    return place[0].startswith("silent")


def _session(place: Place) -> str:
    """`5-4_silent` is 0504silent, `4-25_2` is 042502nonparallel, `5-19` of the closed vocabulary 0519closedvoiced."""
    words = re.findall(r"\d+|[A-Za-z]+", place[1])
    name = "".join(word.zfill(2) for word in words if word.lower() not in ("silent", "voiced"))
    return name + {"silent": "closedsilent", "voiced": "closedvoiced"}.get(place[0], place[0].partition("_")[0])


def _ids(source: Source, places: Iterable[Place]) -> dict[Place, str]:
    ids = {place: f"sub-{SUBJECT}/ses-{_session(place)}/run-{place[2]:04d}" for place in places}
    owner: dict[str, Place] = {}
    for place, identity in ids.items():
        if identity in owner:
            raise InputError(f"{source.place}: {_said(owner[identity])} and {_said(place)} would both be {identity}")
        owner[identity] = place
    return ids


def _twins(infos: Mapping[Place, Info]) -> dict[Place, list[Place]]:
    """The same sentence in the other mode, those recorded on the same day first, else in order of folder and number."""
    by_sentence: dict[tuple[str, int], list[Place]] = {}
    for place, info in infos.items():
        if info.index >= 0:
            by_sentence.setdefault((info.book, info.index), []).append(place)
    twins = {}
    for places in by_sentence.values():
        for place in places:
            day = _day(place)
            others = [other for other in places if _silent(other) != _silent(place)]
            twins[place] = sorted(others, key=lambda other: (_day(other) != day, other))
    return twins


def _day(place: Place) -> str:
    return re.sub(r"_?(silent|voiced)$", "", place[1])


def _recording(
    card: Card,
    options: Options,
    place: Place,
    identity: str,
    kinds: tuple[str, ...],
    twins: tuple[str, ...],
    files: tuple[File, ...],
) -> Recording:
    given = dict(zip((*kinds, "grid"), files, strict=False))
    data = {kind: file.read() for kind, file in given.items()}
    info = info_of(attrs.evolve(given["info"], data=data["info"]))
    if options.characters:
        letters(normalise(info.text), given["info"].where, options.characters)
    emg = array(given["emg"], data["emg"], "f", (info.sizes[0], len(card.channels)))
    button = array(given["button"], data["button"], "bui", (info.sizes[0],))
    repairs: list[str] = []
    with np.errstate(over="ignore"):
        values = emg.astype(np.float32).T.copy()
    gaps = ~np.isfinite(values)
    _alive(given["emg"].where, values, gaps, card.units)
    if gaps.any():
        repairs.append(f"emg: {np.count_nonzero(gaps)} values are no numbers: set to 0")
        values[gaps] = 0
    streams = _streams(card, place, given, data, button, repairs)
    events, words = _events([], (*card.labels, WORD)), None
    if "grid" in given and info.index >= 0:
        tiers = tiers_of(data["grid"], given["grid"].where)
        heard = streams["audio"].values.shape[1] / streams["audio"].rate_hz
        _belongs(given["grid"].where, tiers, place, info.text, heard)
        events, words = _aligned(card, given["grid"].where, tiers, len(emg), repairs)
    elif info.index >= 0 and not _silent(place):
        repairs.append("it has no alignment: no phones or words")
    _, session, run = (part.partition("-")[2] for part in identity.split("/"))
    return Recording(
        subject=SUBJECT,
        session=session,
        run=run,
        emg=values,
        gain=np.ones(len(card.channels), np.float32),
        rate_hz=card.rate,
        channels=card.channels,
        events=events,
        units=card.units,
        streams=streams,
        attrs=bids_attributes(card) | _told(options, place, info, words, twins) | options.attributes,
        sources=tuple((file.name.rpartition("/")[2], sha256(data[kind])) for kind, file in given.items()),
        repairs=tuple(repairs),
    )


def _streams(
    card: Card,
    place: Place,
    given: Mapping[str, File],
    data: Mapping[str, bytes],
    button: npt.NDArray[Any],
    repairs: list[str],
) -> dict[str, Stream]:
    """Button and sounds. Raises InputError: a sound is not that of the EMG, or nobody is heard speaking."""
    streams = {"button": Stream(button[None].astype(np.int8), card.rate, "n/a", ("button",))}
    spoken = not _silent(place) and info_of(attrs.evolve(given["info"], data=data["info"])).index >= 0
    for kind in ("audio", "audio_clean"):
        if kind not in given:
            continue
        sound, rate = sound_of(given[kind], data[kind])
        streams[kind] = Stream(sound[None], rate, "n/a", ("microphone",))
        apart = sound.size / rate - len(button) / card.rate
        if abs(apart) > _WRONG_S:
            raise InputError(
                f"{given[kind].where}: lasts {sound.size / rate:.2f} s, but the EMG of {_said(place)} "
                f"{len(button) / card.rate:.2f} s; is it cut off, or of another utterance?"
            )
        if spoken and len(sound) and not np.ptp(sound):
            raise InputError(
                f"{given[kind].where}: is silence throughout, but {_said(place)} was spoken; was the microphone on?"
            )
        if abs(apart) > _APART_S:
            repairs.append(f"{kind} is {abs(apart):.2f} s {'longer' if apart > 0 else 'shorter'} than the EMG")
    return streams


def _alive(where: str, values: npt.NDArray[np.float32], gaps: npt.NDArray[np.bool_], units: str) -> None:
    """Raises InputError: EMG `(channel, time)` is hardly there, `gaps` being what is no number, or it never moves."""
    if gaps.mean() > _LOST:
        raise InputError(f"{where}: {np.count_nonzero(gaps)} of {gaps.size} values are no numbers")
    with np.errstate(invalid="ignore"):
        moves = max(
            (float(np.ptp(row[~gap])) for row, gap in zip(values, gaps, strict=True) if not gap.all()), default=0
        )
    if values.size and units == "uV" and moves < _STILL_UV:
        raise InputError(
            f"{where}: no channel moves by more than {moves:.2g} uV; were the electrodes connected, and is it in uV?"
        )


def _told(
    options: Options, place: Place, info: Info, words: list[str] | None, twins: tuple[str, ...]
) -> dict[str, Any]:
    """What is known of an utterance besides its signals."""
    told: dict[str, Any] = {
        "mode": "silent" if _silent(place) else "voiced",
        "part": {"silent": "closed", "voiced": "closed"}.get(place[0], place[0].removesuffix("_data")),
        "audio_gain": 1 / 32768,
    }
    if info.index < 0:
        return told | {"silence": True}
    told |= {"book": info.book, "sentence_index": info.index, "transcript": info.text, "twins": list(twins)}
    if words is not None:
        told["words"] = words
    if told["part"] != "closed":
        for name, dev in (("subset", options.dev), ("subset_original", options.dev_original)):
            lists = {"test": options.test, "dev": dev} if info.book == options.book else {}
            held = next((word for word, indices in lists.items() if info.index in indices), "train")
            told[name] = held if held == "train" or _silent(place) else "held_out"
    return told


def _belongs(where: str, tiers: Mapping[str, Sequence[Interval]], place: Place, text: str, heard: float) -> None:
    """Raises InputError: the alignment has no phones or words, or is that of another utterance."""
    for name in ("phones", "words"):
        if name not in tiers:
            raise InputError(f"{where}: has no tier {name}; it has {listed(list(tiers)) or 'none'}")
    end = max((span[2] for spans in tiers.values() for span in spans), default=0.0)
    if abs(end - heard) > _WRONG_S:
        raise InputError(
            f"{where}: ends at {end:.2f} s, but the sound of {_said(place)} lasts {heard:.2f} s; is it the "
            "alignment of another utterance?"
        )
    aligned, said = _words(" ".join(span[3] for span in tiers["words"])), _words(text)
    if len(said) > 1 and SequenceMatcher(None, aligned, said, autojunk=False).ratio() < _ALIKE:
        raise InputError(
            f"{where}: its words ({' '.join(aligned[:6])[:60]}) are not the text of {_said(place)} "
            f"({' '.join(said[:6])[:60]}); is it the alignment of another utterance?"
        )


def _words(text: str) -> list[str]:
    """Words of letters; numbers may be aligned as they are spoken."""
    return re.findall(r"\b[a-z]{2,}\b", re.sub("['’]", "", text.lower()))


def _aligned(
    card: Card, where: str, tiers: Mapping[str, Sequence[Interval]], samples: int, repairs: list[str]
) -> tuple[Events, list[str]]:
    """Phones and words as events in samples of the EMG, and the words; what reaches beyond the EMG is cut."""
    rows: list[tuple[int, int, int, str]] = []
    lost = 0
    for tier, spans in tiers.items():
        for line, begin, end, text in spans if tier in ("phones", "words") else ():
            onset, stop = round(begin * card.rate), min(samples, round(end * card.rate))
            if tier == "words" and not text:
                continue
            if onset >= stop:
                lost += 1
                continue
            label = len(card.labels)
            if tier == "phones":
                phone = re.sub(r"\d$", "", text).lower()
                phone = "sil" if phone in _QUIET else phone
                if phone not in card.labels:
                    raise InputError(f"{where}:{line}: '{text[:40]}' is not one of the phones")
                label = card.labels.index(phone)
            rows.append((onset, stop - onset, label, text))
    if lost:
        repairs.append(f"{lost} phones or words lie beyond the EMG's end and are left out")
    rows.sort(key=lambda row: (row[0], row[2]))
    names = (*card.labels, WORD)
    return _events([row[:3] for row in rows], names), [text for _, _, label, text in rows if names[label] == WORD]


def _events(rows: Sequence[tuple[int, int, int]], names: tuple[str, ...]) -> Events:
    """Events of (onset, length, label) rows; repetitions count per label."""
    table = np.array(rows, np.int64).reshape(-1, 3)
    repetition = [int(np.count_nonzero(table[: i + 1, 2] == label)) for i, label in enumerate(table[:, 2])]
    onset, length, label = table.T
    return Events(onset, length, label.astype(np.int16), np.array(repetition, np.int16), names)
