"""The simulated corpus of speech: layout, determinism, the real set's levels, and no trace of the text but in EMG."""

import json

import numpy as np
import pytest
from attrs import evolve
from scipy import signal, stats

from myoflow.card import load_card
from myoflow.errors import InputError
from myoflow.readers import READERS, open_source
from myoflow.simulate.speech import corpus, grammar, muscles, plan, timing
from myoflow.simulate.speech.corpus import Clip
from myoflow.simulate.speech.lexicon import lexicon, pronounce
from myoflow.simulate.speech.phones import phones
from myoflow.simulate.speech.settings import Speech

SMALL = Speech(grammar="digits", sentences=6, sessions=2, test=2, dev=1)
DEMO = Speech()


def small_card():
    options = {"grammar": "digits", "sentences": 6, "sessions": 2, "test": 2, "dev": 1}
    return evolve(load_card("simulated_speech"), options=options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    pytest.importorskip("soundfile")
    place = tmp_path_factory.mktemp("corpus")
    corpus.write(SMALL, place)
    return place


def test_the_reader_of_the_real_set_reads_it_from_disk_as_from_the_simulation(folder):
    gaddy = evolve(small_card(), reader="gaddy", options={"book": "simulated", "test": [], "dev": []})
    from_disk = list(READERS["gaddy"](gaddy).recordings(open_source(folder)))
    made = list(READERS["simulated_speech"](small_card()).recordings(None))
    assert [item.id for item in from_disk] == [item.id for item in made]
    assert len(made) == 2 * 6 + 4  # both modes of every sentence, and a clip of silence in each of four sittings
    for one, other in zip(from_disk, made, strict=True):
        a, b = one.read(), other.read()
        np.testing.assert_array_equal(a.emg, b.emg)
        np.testing.assert_array_equal(a.streams["audio_clean"].values, b.streams["audio_clean"].values)
        assert a.attrs.get("words") == b.attrs.get("words") and not b.repairs
        assert a.events.onset.tolist() == b.events.onset.tolist()


def test_an_utterance_holds_what_the_layout_says(folder):
    place = folder / "emg_data" / "voiced_parallel_data" / "1-1"
    emg, info = np.load(place / "1_emg.npy"), json.loads((place / "1_info.json").read_text())
    assert emg.dtype == np.float64 and emg.shape[1] == 8
    assert sum(n for n, _, _ in info["chunks"]) == len(emg) == len(np.load(place / "1_button.npy"))
    import soundfile

    sound, rate = soundfile.read(place / "1_audio_clean.flac")
    assert rate == 16000 and len(sound) == 16 * len(emg)
    assert info["text"] in plan.sentences(SMALL)
    assert json.loads((place / "0_info.json").read_text())["sentence_index"] == -1
    assert not (folder / "text_alignments" / "1-1_silent").exists()


def test_twins_say_the_same_and_held_out_sentences_are_silent():
    made = [item.read() for item in READERS["simulated_speech"](small_card()).recordings(None)]
    by_id = {rec.id: rec for rec in made}
    said = [rec for rec in made if "transcript" in rec.attrs]
    for rec in said:
        (twin,) = rec.attrs["twins"]
        assert by_id[twin].attrs["transcript"] == rec.attrs["transcript"]
        assert by_id[twin].attrs["mode"] != rec.attrs["mode"]
    assert sum(rec.attrs["subset"] == "test" for rec in said) == 2
    assert all(rec.attrs["mode"] == "silent" for rec in said if rec.attrs["subset"] in ("test", "dev"))
    voiced = next(rec for rec in said if rec.attrs["mode"] == "voiced")
    assert voiced.attrs["words"] == voiced.attrs["transcript"].split()


def test_one_utterance_made_alone_is_the_same_and_another_seed_is_another_world():
    clip = Clip(1, True, 2)
    first = corpus.emg.__wrapped__(SMALL, clip)
    plan.session.cache_clear()
    np.testing.assert_array_equal(corpus.emg.__wrapped__(SMALL, clip), first)
    other = corpus.emg.__wrapped__(evolve(SMALL, seed=2), clip)
    assert other.shape != first.shape or not np.array_equal(other, first)
    np.testing.assert_array_equal(*(corpus.sound.__wrapped__(SMALL, Clip(0, False, 1))[1] for _ in range(2)))


def cleaned(x):
    """The published chain of filters."""
    for harmonic in range(1, 8):
        x = signal.filtfilt(*signal.iirnotch(60 * harmonic, 30, 1000), x, axis=1)
    return signal.filtfilt(*signal.butter(3, 2, "highpass", fs=1000), x, axis=1)


def published_features(x):
    """Level of the slow and of the fast part, and zero crossings, per channel and frame of 16 at 516.79 Hz."""
    time = np.arange(x.shape[1]) / 1000
    x = np.stack([np.interp(np.arange(0, time[-1], 1 / 516.79), time, row) for row in x])
    x -= x.mean(axis=1, keepdims=True)
    box = np.convolve(np.ones(9) / 9, np.ones(9) / 9)
    slow = np.stack([np.convolve(row, box, "same") for row in x])
    low, high = (np.lib.stride_tricks.sliding_window_view(y, 16, axis=1)[:, ::6] for y in (slow, x - slow))
    crossings = (np.diff(np.sign(high), axis=-1) != 0).mean(axis=-1)
    return np.sqrt((low**2).mean(-1)), np.sqrt((high**2).mean(-1)), crossings


def test_levels_and_spectrum_are_those_published_of_the_real_set():
    """Per-channel statistics of normalizers.pkl of the published code, in µV; tuned on other utterances."""
    found = []
    for number in range(4):
        x = np.concatenate([corpus.emg.__wrapped__(DEMO, Clip(number, False, k)) for k in range(30, 40)], axis=1)
        found.append(published_features(cleaned(x)[:, 2000:-2000]))
    low, high, crossings = (np.concatenate(part, axis=1).mean(axis=1) for part in zip(*found, strict=True))
    assert np.all(np.abs(np.log(high / [16, 43, 18, 30, 18, 24, 15, 11])) < np.log(1.4))
    assert np.all(np.abs(np.log(low / [14, 21, 17, 17, 12, 34, 14, 8])) < np.log(1.5))
    assert np.all((crossings > 0.30) & (crossings < 0.38))


def test_neither_number_nor_hum_nor_baseline_nor_time_of_day_tells_the_sentence():
    rows = []
    for number in range(4):
        for silent in (True, False):
            sitting = plan.session(DEMO, number, silent)
            for clip, index in enumerate(sitting.sentence):
                if index >= 0:
                    cycle = (sitting.begin[clip] * 60 / 1000) % 1
                    rows.append((index, len(plan.sentences(DEMO)[index]), clip, cycle, *sitting.baseline[clip]))
    table = np.array(rows)
    for text in (0, 1):  # which sentence, and how long it is
        for trace in range(2, table.shape[1]):
            assert stats.spearmanr(table[:, text], table[:, trace]).pvalue > 1e-3
    silent, voiced = (plan.session(DEMO, 0, mode).sentence for mode in (True, False))
    assert sorted(silent) == sorted(voiced) and silent != voiced


def test_without_muscles_nothing_of_the_text_is_left():
    """What the recorder adds is drawn without a look at the text: with all gestures off it is the same for any."""
    clip = Clip(0, False, 1)
    sitting = plan.session(SMALL, 0, False)
    rng = [plan.stream(SMALL, 99) for _ in range(2)]
    told = corpus.recorder.chain(plan.stream(SMALL, 7, 0), 60.0)
    still = np.zeros((13, 400))
    a, b = (corpus.recorder.recorded(np.zeros((8, 1500)), still, told, 0, 1000.0, sitting.baseline[:2], r) for r in rng)
    np.testing.assert_array_equal(a, b)
    assert corpus.emg(SMALL, clip).shape[1] == np.diff(sitting.begin)[1]


def test_the_velum_is_invisible_and_the_voice_nearly_so():
    def drives(word):
        spans, at = [timing.Span("sil", 0.0, 0.2)], 0.2
        for name in pronounce(word):
            spans.append(timing.Span(name, at, at + 0.1))
            at += 0.1
        script = timing.Script((*spans, timing.Span("sil", at, at + 0.2)), (), at + 0.2)
        rng = np.random.default_rng(0)
        return muscles.drive(muscles.articulation(script), rng, effort=np.ones(12))

    mat, bat, pat, cat = (drives(word) for word in ("mat", "bat", "pat", "cat"))
    larynx = muscles.LARYNX
    np.testing.assert_allclose(np.delete(mat, larynx, 0), np.delete(bat, larynx, 0))
    np.testing.assert_allclose(np.delete(pat, larynx, 0), np.delete(bat, larynx, 0))
    assert np.abs(np.delete(cat, larynx, 0) - np.delete(bat, larynx, 0)).max() > 0.1


def test_single_sentences_are_read_slowly():
    """The real set's closed part has 26 min of silent speech in 500 utterances of four words, 3.1 s each."""
    clips = [clip.of(DEMO).script[clip.number] for clip in corpus.clips(DEMO) if clip.silent and clip.number]
    assert 2.4 < np.mean([script.seconds for script in clips]) < 3.2
    fluent, slow = (timing.script("monday at ten", np.random.default_rng(3), pace=pace) for pace in (1.0, 1.5))
    for one, other in zip(fluent.phones, slow.phones, strict=True):
        factor = 1.0 if one.name == "sil" else 1.5
        assert other.end - other.begin == pytest.approx(factor * (one.end - one.begin), abs=2e-3)
    with pytest.raises(InputError, match=r"pace must be from 0\.5 to 3, got 4"):
        Speech(pace=4)


def test_silent_speech_is_slower_warped_and_weaker_at_the_throat():
    pairs = []
    for seed in range(40):
        rng = [np.random.default_rng([seed, k]) for k in (0, 1)]
        pairs.append([timing.script("monday at ten", r, silent=k == 0) for k, r in enumerate(rng)])
    ratio = [s.seconds / v.seconds for s, v in pairs]
    assert 1.0 < np.median(ratio) < 1.2 and max(ratio) > 1.2
    phone = np.array([[a.end - a.begin for a in s.phones if a.name != "sil"] for s, _ in pairs])
    assert 0.1 < np.log(phone).std(axis=0).mean() < 0.4
    high = signal.butter(4, 30, "highpass", fs=1000, output="sos")

    def throat(silent):
        some = [corpus.emg(DEMO, Clip(k, silent, c))[3] for k in range(4) for c in range(1, 4)]
        return np.median([signal.sosfilt(high, x)[200:].std() for x in some])

    assert throat(silent=True) < throat(silent=False)


def test_sound_follows_the_alignment():
    clip = Clip(0, False, 1)
    script = clip.of(DEMO).script[1]
    _, clean = corpus.sound(DEMO, clip)
    clean = clean / 32767

    def level(span):
        return np.sqrt(np.mean(clean[round(span.begin * 16000) : round(span.end * 16000)] ** 2))

    vowels = [level(span) for span in script.phones if phones()[span.name].kind == "vowel"]
    rests = [level(script.phones[0]), level(script.phones[-1])]
    assert min(vowels) > 5 * max(rests)
    silent = corpus.sound(DEMO, Clip(0, True, 1))[0]
    assert np.abs(silent / 32767).max() < 0.02


def test_a_vowel_has_its_formants():
    script = timing.Script((timing.Span("iy", 0.0, 0.6),), (timing.Span("x", 0.0, 0.6),), 0.6)
    low = timing.Script((timing.Span("aa", 0.0, 0.6),), (timing.Span("x", 0.0, 0.6),), 0.6)
    from myoflow.simulate.speech.voice import RATE_HZ, speak

    def peak(script, band):
        f, power = signal.welch(speak(script, np.random.default_rng(0)), RATE_HZ, nperseg=400, nfft=4096)
        inside = (f > band[0]) & (f < band[1])
        return f[inside][power[inside].argmax()]

    assert peak(script, (1500, 2700)) == pytest.approx(2290, abs=150)
    assert peak(low, (500, 1400)) == pytest.approx(730, abs=150)


def test_every_word_of_every_grammar_can_be_said_and_dates_have_about_sixty():
    words = {name: {w for s in grammar.distinct(name, n, 1) for w in s.split()} for name, n in
             (("digits", 200), ("dates", 500), ("open", 800))}  # fmt: skip
    assert all(word in lexicon() for group in words.values() for word in group)
    assert 55 <= len(words["dates"]) <= 67 and len(words["open"]) > 120 and len(words["digits"]) == 9
    assert all(phone in phones() for spelled in lexicon().values() for phone in spelled)
    assert pronounce("sail") == pronounce("sale")


def test_text_for_a_language_model_has_no_held_out_sentence():
    test, dev = plan.held_out(DEMO)
    assert len(test) == 100 and len(dev) == 33 and not set(test) & set(dev)
    text = set(plan.texts(DEMO, 3000))
    assert not text & {plan.sentences(DEMO)[k] for k in (*test, *dev)}
    known = {w for k in range(500) if k not in (*test, *dev) for w in plan.sentences(DEMO)[k].split()}
    assert all(w in known for k in test for w in plan.sentences(DEMO)[k].split())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"sentences": 100, "test": 90, "dev": 10}, "leave none of 100 to learn"),
        ({"sessions": 0}, "sessions must be at least 1, got 0"),
        ({"sessions": 501}, "501 sessions for 500 sentences"),
        ({"mains_hz": 600.0}, "below 500 Hz"),
    ],
)
def test_settings_that_cannot_be(change, says):
    with pytest.raises(InputError, match=says):
        evolve(DEMO, **change)


def test_a_grammar_that_has_not_so_many_sentences_and_a_word_nobody_can_say():
    with pytest.raises(InputError, match="no 800 different sentences"):
        grammar.distinct("digits", 800, 1)
    with pytest.raises(InputError, match=r"cannot pronounce 'mondya'; did you mean 'monday'"):
        pronounce("mondya")


def test_a_card_must_have_the_electrodes_of_the_set():
    with pytest.raises(InputError, match="its channels should be cheek_left"):
        READERS["simulated_speech"](evolve(small_card(), channels=("a",)))
