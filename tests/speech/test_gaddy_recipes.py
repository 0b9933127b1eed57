"""The published setting: the network's size, and a run from raw files in the set's exact layout to scores."""

from __future__ import annotations

import html
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from myoflow.card import load_card
from myoflow.data.conversion import convert
from myoflow.errors import InputError
from myoflow.models import plan_recipe
from myoflow.network import build
from myoflow.recipe import load
from myoflow.run import run_recipe
from myoflow.simulate.speech import corpus
from myoflow.simulate.speech.settings import Speech

BOOK = load_card("gaddy_silent_speech").options["book"]
SETTINGS = Speech(grammar="digits", sentences=80, sessions=1, test=2, dev=2)  # 73 and 75 are test here, 2 and 6 dev
SMALL = (
    "pipeline.conv_stem.widths=[8, 8, 8]",
    "pipeline.tinymyo.layers=1",
    "pipeline.tinymyo.width=8",
    "pipeline.tinymyo.heads=2",
    "train.epochs=1",
    "train.precision=float32",
)


@pytest.mark.parametrize(("name", "published"), [("", 4_564_352), ("_text", 4_546_982)])
def test_parameters_are_those_of_the_paper_and_a_last_norm(name: str, published: int) -> None:
    """Counts of the published code (facts on TinyMyo, 3.2); it has no norm behind its blocks: 2 x 192 more here."""
    (plan,) = plan_recipe(load(f"silent_speech_gaddy{name}")).values()
    (network,) = [segment for segment in plan.segments(0) if segment.backend == "torch"]
    counted = sum(tensor.numel() for tensor in build(network).parameters())
    assert counted == published + 2 * 192
    assert sum(step.cost.parameters or 0 for step in plan.steps) == counted


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten sentences of a simulated session, silent and spoken, as files of Gaddy's set, converted by its card."""
    pytest.importorskip("soundfile")
    folder = tmp_path_factory.mktemp("gaddy")
    wanted = {-1, 2, 6, *range(20, 26), 73, 75}
    for name, (clip, kind) in corpus.names(SETTINGS).items():
        if clip.of(SETTINGS).sentence[clip.number] in wanted:
            path = folder / "raw" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            data = corpus.content(SETTINGS, clip, kind)
            if kind == "info.json":
                told = json.loads(data)
                data = json.dumps(told | {"book": BOOK if told["book"] else ""}).encode()
            path.write_bytes(data)
    convert(load_card("gaddy_silent_speech"), folder / "raw", folder / "gaddy.zarr")
    return folder / "gaddy.zarr"


FOLDER = "emg_data/voiced_parallel_data/1-1"
GRID = "text_alignments/1-1/1-1_{}_audio.TextGrid"


def _no_sound(raw: Path, number: int) -> None:
    (raw / FOLDER / f"{number}_audio.flac").unlink()


def _no_text(raw: Path, number: int) -> None:
    path = raw / FOLDER / f"{number}_info.json"
    path.write_text(json.dumps({key: value for key, value in json.loads(path.read_text()).items() if key != "text"}))


def _short_sound(raw: Path, number: int) -> None:
    import soundfile

    path = raw / FOLDER / f"{number}_audio.flac"
    sound, rate = soundfile.read(path, dtype="int16")
    soundfile.write(path, sound[: len(sound) // 3], rate)


def _foreign_letter(raw: Path, number: int) -> None:
    path = raw / FOLDER / f"{number}_info.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"text": "one two \u03b1"}))


def _other_grid(raw: Path, number: int) -> None:
    text = (raw / GRID.format(number)).read_text()
    for word in ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "zero"]:
        text = text.replace(f'"{word}"', '"martian"')
    (raw / GRID.format(number)).write_text(text)


def _no_grid(raw: Path, number: int) -> None:
    (raw / GRID.format(number)).unlink()


BROKEN: dict[str, tuple[Callable[[Path, int], None], str]] = {
    "no sound": (_no_sound, "utterance {n} of voiced_parallel_data/1-1 lacks {n}_audio.flac"),
    "no text": (_no_text, "1-1/{n}_info.json: has no 'text'"),
    "a short sound": (_short_sound, "but the EMG of utterance {n} of voiced_parallel_data/1-1"),
    "a foreign letter": (_foreign_letter, "1-1/{n}_info.json: cannot spell '\u03b1'"),
    "another's alignment": (_other_grid, "are not the text of utterance {n} of voiced_parallel_data/1-1"),
    "no alignment": (_no_grid, "utterance {n} of voiced_parallel_data/1-1 has no text_alignments/1-1/1-1_{n}_audio"),
}


def _spoken(raw: Path) -> list[int]:
    """Numbers of the spoken training sentences."""
    told = {int(p.name.split("_")[0]): json.loads(p.read_text()) for p in (raw / FOLDER).glob("*_info.json")}
    return sorted(number for number, info in told.items() if info["sentence_index"] in range(20, 26))


@pytest.mark.parametrize("how", list(BROKEN))
def test_a_broken_utterance_is_named_in_one_line(store: Path, tmp_path: Path, how: str) -> None:
    raw = Path(shutil.copytree(store.parent / "raw", tmp_path / "raw"))
    breaks, says = BROKEN[how]
    number = _spoken(raw)[0]
    breaks(raw, number)
    with pytest.raises(InputError) as caught:
        convert(load_card("gaddy_silent_speech"), raw, tmp_path / "s.zarr")
    assert says.format(n=number) in str(caught.value) and "\n" not in str(caught.value)


def test_what_was_skipped_stands_in_report_and_metrics(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = Path(shutil.copytree(store.parent / "raw", tmp_path / "raw"))
    spoken = _spoken(raw)
    for number, (breaks, _) in zip(spoken, BROKEN.values(), strict=True):
        breaks(raw, number)
    done = convert(load_card("gaddy_silent_speech"), raw, tmp_path / "s.zarr", skip_bad=True)
    monkeypatch.setenv("MYOFLOW_CACHE", str(tmp_path / "cache"))
    _, folder = _run("silent_speech_gaddy_text", tmp_path / "s.zarr", tmp_path)
    told = json.loads((folder / "metrics.json").read_text())["skipped"]
    assert told == dict(done.skipped) and len(told) == len(BROKEN)
    page = html.unescape((folder / "report.html").read_text())
    for number, (_, says) in zip(spoken, BROKEN.values(), strict=True):
        (why,) = [why for name, why in told.items() if name.endswith(f"voiced/run-{number:04d}")]
        assert says.format(n=number) in why and why in page


def test_texts_without_a_word_and_sentences_of_the_test_are_told(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An utterance without a word teaches nothing and cannot be scored; a test sentence in training is a leak."""
    raw = Path(shutil.copytree(store.parent / "raw", tmp_path / "raw"))
    told = {path: json.loads(path.read_text()) for path in raw.glob("emg_data/*/*/*_info.json")}
    texts = {info["sentence_index"]: info["text"] for info in told.values()}
    for path, info in told.items():
        changed = {21: "?!", 75: "..."} | ({73: texts[20]} if "silent" in str(path.parent) else {})
        path.write_text(json.dumps(info | {"text": changed.get(info["sentence_index"], info["text"])}))
    convert(load_card("gaddy_silent_speech"), raw, tmp_path / "s.zarr")
    monkeypatch.setenv("MYOFLOW_CACHE", str(tmp_path / "cache"))
    recipe = load("silent_speech_gaddy_text", (f"data.store={tmp_path / 's.zarr'}", *SMALL))
    run = run_recipe(recipe, out=tmp_path / "r")
    audit = {finding["about"]: finding for finding in run.metrics["audit"]}
    assert audit["sentences"]["leak"] and "of 1 of 1 test utterances were also said" in audit["sentences"]["text"]
    lost = audit["left out"]["text"]
    assert lost.startswith("3 recordings are left out of the examples: sub-1/ses-0101silent/run-")
    assert ": its text '?!' has no word; " in lost and "'...' has no word" in lost
    page = html.unescape((run.folder / "report.html").read_text())
    assert lost in page and audit["sentences"]["text"] in page


def test_a_recording_that_no_filter_takes_is_named(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import soundfile

    raw = Path(shutil.copytree(store.parent / "raw", tmp_path / "raw"))
    path = sorted((raw / "emg_data/silent_parallel_data/1-1_silent").glob("*_info.json"))[1]
    number = path.name.split("_")[0]
    for name in ("emg", "button"):
        file = path.with_name(f"{number}_{name}.npy")
        np.save(file, np.load(file)[:10])
    for name in ("audio", "audio_clean"):
        soundfile.write(path.with_name(f"{number}_{name}.flac"), np.zeros(160, np.int16), 16000)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"chunks": [[10, 160, 10]]}))
    convert(load_card("gaddy_silent_speech"), raw, tmp_path / "s.zarr")
    monkeypatch.setenv("MYOFLOW_CACHE", str(tmp_path / "cache"))
    with pytest.raises(
        InputError, match=rf"^sub-1/ses-0101silent/run-{int(number):04d}: a zero-phase filter .* of 10;"
    ):
        _run("silent_speech_gaddy_text", tmp_path / "s.zarr", tmp_path)


def _run(recipe: str, store: Path, folder: Path, *more: str) -> tuple[dict[str, float], Path]:
    run = run_recipe(load(recipe, (f"data.store={store}", *SMALL, *more)), out=folder / "run")
    assert run.metrics["split"][0] == {"train": ["train"], "valid": ["dev"], "test": ["test"]}
    assert run.metrics["windows"] == 2
    return {name: m["value"] for name, m in run.metrics["models"]["tinymyo"]["metrics"].items()}, run.folder


@pytest.mark.parametrize("features", ["mel80", "mfcc26"])
def test_a_tiny_set_in_its_layout_becomes_voices(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, features: str
) -> None:
    monkeypatch.setenv("MYOFLOW_CACHE", str(store.parent / "cache"))
    found, folder = _run("silent_speech_gaddy", store, tmp_path, f"heads.audio=[mel: {{features: {features}}}]")
    assert 2 < found["mcd"] < 40 and 0 <= found["phoneme_accuracy"] < 1
    assert len(list((folder / "audio").rglob("*.wav"))) == 2
    with np.load(folder / "fold-1" / "tinymyo" / "seed-0" / "predictions.npz") as kept:
        assert kept["audio"].shape == (kept["audio_lengths"].sum(), 80)  # bands, whatever the head gives
    page = (folder / "report.html").read_text()
    assert "phonemes: phonemes" in page and "Phonemes(" not in page  # the plan says it as a recipe would
    assert "Protocol" in page and "media-src data:" in page  # without it no browser plays what is in the page


def test_what_was_spoken_aloud_keeps_time_with_its_true_voice(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pystoi")
    monkeypatch.setenv("MYOFLOW_CACHE", str(store.parent / "cache"))
    split = "data.split={by: subset, train: [train], test: [held_out]}"
    more = (f"data.store={store}", *SMALL, split, "evaluate=[estoi, mcd]")
    run = run_recipe(load("silent_speech_gaddy", more), out=tmp_path / "run")
    found = run.metrics["models"]["tinymyo"]["metrics"]
    assert -0.3 < found["estoi"]["value"] < 0.5  # an epoch of six sentences teaches no voice
    silent = run_recipe(load("silent_speech_gaddy", (*more[:-2], more[-1])), out=tmp_path / "silent")
    assert set(silent.metrics["models"]["tinymyo"]["metrics"]) == {"mcd"}  # nobody hears what a silent mouth would be


def test_a_vocoder_of_that_voice_plays_the_published_game_and_speaks_in_a_run(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import soundfile

    monkeypatch.setenv("MYOFLOW_CACHE", str(store.parent / "cache"))
    game = ("train.mel=45", "train.resolutions=0", "train.rival_share=0.015625", "train.lr=2e-4")
    small = ("train.epochs=1", "train.batch=2", "train.frames=16", f"data.store={store}")
    made = run_recipe(load("vocoder", ("data.dataset=gaddy_silent_speech", *game, *small)), out=tmp_path / "voice")
    found = {name: m["value"] for name, m in made.metrics["models"]["hifigan"]["metrics"].items()}
    assert found["mcd"] > found["mcd_griffin_lim"] > 0  # an epoch teaches nobody to speak
    assert found["estoi"] < 0.5 < found["estoi_griffin_lim"] < 1
    _run("silent_speech_gaddy", store, tmp_path, f"train.vocoder={made.folder}")
    _run("silent_speech_gaddy", store, tmp_path / "other")
    one, other = (sorted((tmp_path / name / "audio").iterdir())[0] for name in ("run", "other/run"))
    (a, rate), (b, _) = soundfile.read(one), soundfile.read(other)
    assert one.name == other.name and rate == 22_050 and len(a) == len(b)
    assert abs(a).max() < 0.1 < abs(b).max()  # what learned so little hardly makes a sound


def test_and_text(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MYOFLOW_CACHE", str(store.parent / "cache"))
    found, _ = _run("silent_speech_gaddy_text", store, tmp_path)
    assert found["cer"] > 0.5 and found["wer"] > 0.5  # an epoch of six sentences teaches nothing
