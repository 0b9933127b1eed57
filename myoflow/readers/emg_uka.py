"""emg_uka: the EMG-UKA corpora: facial EMG with speech, one utterance a recording, cut to what both hold."""

from __future__ import annotations

import io
import re
import wave
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import numpy.typing as npt

from myoflow.errors import InputError
from myoflow.readers.base import READERS, Item, Reader, Subject, bids_attributes, sha256
from myoflow.readers.source import File, Source
from myoflow.recording import Events, Recording, Stream
from myoflow.typed import frozen

if TYPE_CHECKING:
    from myoflow.card import Card

CHANNELS = tuple(f"EMG{i}" for i in range(1, 7))  # the file's seventh is the marker
VOLTS_PER_COUNT = 0.033e-6  # at the electrode; the amplifier's gain of 1170 is in it (manual, 2)
AUDIO_HZ = 16000
FRAMES_HZ = 100  # alignments count frames of 10 ms
APART_S = 0.02  # the two cuts of an utterance are meant to be equally long; in the corpus they differ by 2 to 3 ms
SHORT_FRAMES = 10  # alignments end before the signal does, in the corpus by two frames and a half at most
SILENCE = "$"
WORD = "word"
_ROW = 2 * (len(CHANNELS) + 1)
_KINDS = {"e07": "adc", "offset": "txt", "transcript": "txt", "words": "txt", "phones": "txt", "a": "wav"}
_FILE = re.compile(r"(?:^|/)(e07|a|offset|words|phones|transcript)_(\d{3})_(\d{3})_(\d{4})\.(adc|wav|txt)$")
_SUBSET = re.compile(r"(?:^|/)Subsets/(train|test)\.(audible|whispered|silent)$")
_UTTERANCE = re.compile(r"emg_(\d{3})-(\d{3})-(\d{4})")
_EXPECTED = (
    "the folders emg, offset, Subsets, Transcripts and Alignments of the corpus (audio is read where it is there)"
)

Key = tuple[str, str, str]


@frozen
class Options:
    """`wrong_phones` names the sessions (`002-001`) whose phone alignment is not to be given.

    `attributes` are added to every recording as they are; use BIDS-EMG's names.
    """

    wrong_phones: tuple[str, ...] = ()
    attributes: dict[str, Any] = attrs.Factory(dict)


@READERS.add("emg_uka")
class EmgUka(Reader):
    """One recording an utterance, EMG and audio cut by its offset file so that both start and end together.

    Events are the phones by name (but in sessions where they are wrong) and each word as `word`; the words themselves
    stand in the attribute `words` in the same order, beside `transcript`, `mode` (audible, whispered, silent) and
    `subset` (the corpus's train and test). `audio` is the microphone, `int16` of full scale 32768. The marker
    channels of both are left out: the cut is made from them.
    """

    Options = Options

    def __init__(self, card: Card) -> None:
        super().__init__(card)
        for channel in card.channels:
            if channel not in CHANNELS:
                raise InputError(f"dataset {card.name}: there is no channel {channel}; it has {', '.join(CHANNELS)}")
        if card.rate % FRAMES_HZ:
            raise InputError(
                f"dataset {card.name}: rate is {card.rate:g} Hz, no multiple of the {FRAMES_HZ} Hz of frames"
            )

    def recordings(self, source: Source | None, wanted: Subject | None = None) -> Iterator[Item]:
        assert source is not None, "needs_source"
        found: dict[str, dict[Key, str]] = {kind: {} for kind in _KINDS}
        for name in source.names:
            match = _FILE.search(name)
            if match is None or _KINDS[match[1]] != match[5]:
                continue
            key = (match[2], match[3], match[4])
            if key in found[match[1]]:
                raise InputError(f"{source.place} has the same file twice: {found[match[1]][key]} and {name}")
            found[match[1]][key] = name
        lists = [name for name in source.names if _SUBSET.search(name)]
        if not found["e07"] or not lists:
            raise InputError(f"{source.place}: expected {_EXPECTED}; found {source.brief()}")
        subsets = _subsets(source, lists)
        for key in sorted(found["e07"]):
            if wanted is not None and not wanted(key[0]):
                continue
            utterance = "-".join(key)
            if key not in subsets:
                raise InputError(f"{source.place}: utterance {utterance} is in none of {', '.join(lists)}")
            kinds = [kind for kind in _KINDS if kind != "a" or key in found["a"]]
            if "-".join(key[:2]) in self.options.wrong_phones:
                kinds.remove("phones")
            identity = f"sub-{key[0]}/ses-{key[1]}/run-{key[2]}"
            lacking = [f"{kind}_{'_'.join(key)}.{_KINDS[kind]}" for kind in kinds if key not in found[kind]]
            if lacking:
                self.refuse(
                    identity, f"{source.place}: utterance {utterance} lacks {lacking[0]}; is an archive missing?"
                )
                continue
            yield Item(
                id=identity,
                parse=partial(_recording, self.card, self.options, key, tuple(kinds), subsets[key]),
                names=tuple(found[kind][key] for kind in kinds),
                source=source,
            )


def _subsets(source: Source, names: list[str]) -> dict[Key, tuple[str, str]]:
    """(subset, mode) of each utterance, from the lists in `Subsets`."""
    known: dict[Key, tuple[str, str]] = {}
    for name in names:
        match = _SUBSET.search(name)
        assert match is not None, "chosen by it"
        file = source.file(name)
        for number, line in enumerate(_text(file.read(), file.where).split("\n"), start=1):
            for word in line.partition(":")[2].split():
                found = _UTTERANCE.fullmatch(word)
                if found is None:
                    raise InputError(f"{file.where}:{number}: '{word[:40]}' is no utterance such as emg_002-001-0100")
                key = (found[1], found[2], found[3])
                if key in known:
                    raise InputError(f"{file.where}:{number}: {word} stands in {'.'.join(known[key])}, too")
                known[key] = (match[1], match[2])
    return known


def _recording(
    card: Card, options: Options, key: Key, kinds: tuple[str, ...], subset: tuple[str, str], files: tuple[File, ...]
) -> Recording:
    given = dict(zip(kinds, files, strict=True))
    data = {kind: file.read() for kind, file in given.items()}
    emg = _emg(data["e07"], given["e07"].where)
    cut = _offsets(data["offset"], given["offset"].where)
    heard, moved = cut[:2], cut[2:]
    if moved[1] > len(emg):
        raise InputError(f"{given['offset'].where}:2: the EMG ends at {moved[1]}, but it has {len(emg)} samples")
    if abs((moved[1] - moved[0]) / card.rate - (heard[1] - heard[0]) / AUDIO_HZ) > APART_S:
        raise InputError(f"{given['offset'].where}: its two spans are not equally long")
    columns = [CHANNELS.index(channel) for channel in card.channels]
    counts = np.ascontiguousarray(emg[moved[0] : moved[1], columns].T)
    streams = {}
    if "a" in given:
        speech = _speech(data["a"], given["a"].where)
        if heard[1] > len(speech):
            raise InputError(
                f"{given['offset'].where}:1: the audio ends at {heard[1]}, but it has {len(speech)} samples"
            )
        streams["audio"] = Stream(speech[None, heard[0] : heard[1]].copy(), float(AUDIO_HZ), "n/a", ("speech",))
    transcript = " ".join(_text(data["transcript"], given["transcript"].where).split())
    tiers, words, repairs = _tiers(card, data, given, counts.shape[1], transcript)
    speech_attributes: dict[str, Any] = {
        "TaskName": "reading sentences",
        "transcript": transcript,
        "words": words,
        "mode": subset[1],
        "subset": subset[0],
    }
    if "phones" not in given:
        speech_attributes["phones"] = "withheld: the corpus's phone alignment of this session is wrong"
    if streams:
        speech_attributes["audio_gain"] = 1 / 32768
    return Recording(
        subject=key[0],
        session=key[1],
        run=key[2],
        emg=counts,
        gain=np.full(len(columns), VOLTS_PER_COUNT, np.float32),
        rate_hz=card.rate,
        channels=card.channels,
        events=_events(tiers, (*card.labels, WORD)),
        units=card.units,
        streams=streams,
        attrs=bids_attributes(card) | speech_attributes | options.attributes,
        sources=tuple((file.name.rpartition("/")[2], sha256(data[kind])) for kind, file in given.items()),
        repairs=tuple(repairs),
    )


def _tiers(
    card: Card, data: Mapping[str, bytes], given: Mapping[str, File], samples: int, transcript: str
) -> tuple[list[tuple[int, int, int]], list[str], list[str]]:
    """(onset, length, label) of phones and words in samples, the words, and what had to be left out."""
    step = round(card.rate / FRAMES_HZ)
    where = given["words"].where
    spans = [(a, b, w) for a, b, w in _alignment(data["words"], where, step, samples) if w != SILENCE]
    words = [re.sub(r"\(\d+\)$", "", word) for _, _, word in spans]
    repairs = []
    if not data["words"].strip():
        repairs.append("its word alignment is an empty file: no word events")
    elif words != transcript.split():
        raise InputError(f"{where}: its words are not those of {given['transcript'].where}")
    tiers = [(a, b, len(card.labels)) for a, b, _ in spans]
    if "phones" in given:
        where = given["phones"].where
        for line, (a, b, phone) in enumerate(_alignment(data["phones"], where, step, samples), start=1):
            if phone not in card.labels:
                raise InputError(f"{where}:{line}: '{phone[:40]}' is not one of the phones")
            tiers.append((a, b, card.labels.index(phone)))
    return tiers, words, repairs


def _events(tiers: list[tuple[int, int, int]], names: tuple[str, ...]) -> Events:
    """Events by onset, a word after the phone that starts with it; repetitions count per label."""
    rows = sorted(tiers, key=lambda row: (row[0], row[2]))
    seen: dict[int, int] = {}
    repetition = []
    for _, _, label in rows:
        seen[label] = seen.get(label, 0) + 1
        repetition.append(seen[label])
    onsets, lengths, labels = np.array(rows, np.int64).reshape(-1, 3).T
    return Events(onsets, lengths, labels.astype(np.int16), np.array(repetition, np.int16), names)


def _emg(data: bytes, where: str) -> npt.NDArray[np.int16]:
    """All samples `(time, 7)`."""
    if not data:
        raise InputError(f"{where}: the file is empty; expected rows of 7 int16")
    if len(data) % _ROW:
        end = len(data) - len(data) % _ROW
        raise InputError(
            f"{where}: byte {end}: the last row has {len(data) - end} of {_ROW} bytes; the file is cut off"
        )
    return np.frombuffer(data, "<i2").reshape(-1, _ROW // 2)


def _offsets(data: bytes, where: str) -> tuple[int, int, int, int]:
    """Begin and end of the audio, begin and end of the EMG, in samples of each; ends are not included."""
    lines = [line.split() for line in _text(data, where).strip().split("\n")]
    if len(lines) != 2:
        raise InputError(f"{where}:{min(len(lines), 2)}: expected two lines of two numbers, found {len(lines)}")
    for number, line in enumerate(lines, start=1):
        good = len(line) == 2 and all(word.isdigit() and len(word) < 12 for word in line)
        if not good or int(line[0]) >= int(line[1]):
            raise InputError(f"{where}:{number}: '{' '.join(line)[:40]}' is not a begin and a later end in samples")
    (a, b), (c, d) = lines
    return int(a), int(b), int(c), int(d)


def _alignment(data: bytes, where: str, step: int, samples: int) -> list[tuple[int, int, str]]:
    """(onset, length, word) of each line, in samples; the lines join on each other without a gap."""
    text = _text(data, where)
    spans: list[tuple[int, int, str]] = []
    due = 0
    for number, line in enumerate(text.strip().split("\n") if text.strip() else (), start=1):
        words = line.split()
        if len(words) != 3 or not all(word.isdigit() and len(word) < 9 for word in words[:2]):
            raise InputError(f"{where}:{number}: '{line.strip()[:40]}' is not a first frame, a last frame and a label")
        first, last = int(words[0]), int(words[1])
        if first != due or last < first:
            raise InputError(f"{where}:{number}: frames {first} to {last} do not join on; expected to start at {due}")
        due = last + 1
        if due * step > samples:
            raise InputError(f"{where}:{number}: frame {last} is beyond the {samples} samples of EMG")
        spans.append((first * step, (due - first) * step, words[2]))
    if spans and samples - due * step > SHORT_FRAMES * step:
        raise InputError(
            f"{where}:{len(spans)}: ends {samples - due * step} samples before the EMG; the file is cut off"
        )
    return spans


def _speech(data: bytes, where: str) -> npt.NDArray[np.int16]:
    """The left of two tracks, the microphone."""
    try:
        with wave.open(io.BytesIO(data)) as sound:
            form = (sound.getnchannels(), sound.getsampwidth(), sound.getframerate())
            promised = sound.getnframes()
            frames = sound.readframes(promised)
    except (wave.Error, EOFError, ValueError) as error:
        raise InputError(f"{where} is no wav file: {str(error) or 'it is cut off'}") from error
    if form != (2, 2, AUDIO_HZ):
        raise InputError(
            f"{where}: {form[0]} tracks of {8 * form[1]} bit at {form[2]} Hz, expected 2 of 16 bit at 16000 Hz"
        )
    if len(frames) != 4 * promised:
        raise InputError(f"{where}: frame {len(frames) // 4}: the file is cut off; its header promises {promised}")
    return np.frombuffer(frames, "<i2").reshape(-1, 2)[:, 0]


def _text(data: bytes, where: str) -> str:
    try:
        return data.decode("ascii").replace("\r", "")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{where}:{line}: is not plain text (byte 0x{data[error.start]:02x})") from error
