"""Speech: what a report shows of silent speech: voices to hear, spectra, words over EMG, transcripts, errors."""

from __future__ import annotations

import base64
import html
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from myoflow.report.figures import INK, MUTED, WIDE, canvas, styled, svg, traces
from myoflow.report.heard import sections as outside
from myoflow.report.speech_live import section
from myoflow.report.words import count, marked, percent
from myoflow.section import Grid, Picture, Section
from myoflow.speech.answers import DECODED, GREEDY, HEARD, UNAIDED, UNDECODED, Transcripts
from myoflow.speech.shown import Shown, shown, wave_bytes, write_waves

if TYPE_CHECKING:
    from myoflow.task import View

Array = npt.NDArray[Any]

PLAYED = 6  # examples with voices: each is about 0.4 MB of the page
LISTED = 30  # transcripts in the table
LENGTHS = ((1, 2), (3, 4), (5, 6), (7, 9), (10, 99))


def sections(view: View) -> list[Section]:
    """The parts of the report, and the voices of all test utterances as WAV files in the run's folder `audio`."""
    answers: Transcripts = view.models[view.main][0]
    found = []
    if any(len(sound) for sound in answers.audio):
        write_waves(view.folder / "audio", answers)
    examples = shown(view, answers, PLAYED)
    if examples:
        voiced = any(example.predicted_wave is not None for example in examples)
        found.append(
            Section(
                "listen" if voiced else "examples",
                "Voices" if voiced else "Utterances",
                text=(
                    "Test utterances from the worst to the best, evenly spread. Above: the spectrum of the sentence "
                    "spoken aloud, which the network has never seen, and the one it predicts; where the mouth was "
                    "silent their times differ. Below: the EMG that it saw, with the words, where the mouth was silent "
                    "where the best warping puts them."
                    if voiced
                    else "Test utterances from the worst to the best, evenly spread, and the EMG of each."
                ),
                figures=tuple(_example(example) for example in examples),
                note=f"Voices of all {len(answers)} test utterances are in the run's folder audio." if voiced else "",
            )
        )
    if answers.greedy[0] != UNDECODED:
        found.append(_transcripts(answers))
    found.append(_by_kind(answers))
    found += outside(view.folder)
    live = section(view, answers)
    return [*found, live] if live is not None else found


def _example(example: Shown) -> Picture:
    """Spectra, words and EMG, with players above."""
    parts = []
    for name, wave in (("predicted", example.predicted_wave), ("true voice", example.true_wave)):
        if wave is not None:
            data = base64.b64encode(wave_bytes(wave)).decode()
            parts.append(
                f'<label style="margin-right:1em;white-space:nowrap">{name} <audio controls preload="none" '
                f'style="vertical-align:middle;height:2em" src="data:audio/wav;base64,{data}"></audio></label>'
            )
    words = marked(example.text, example.said)
    heard = f" · recogniser hears: {html.escape(example.heard)}" if example.heard else ""
    head = f'<p style="margin:.2em 0">{words}<small>{heard}</small></p><p style="margin:.2em 0">{"".join(parts)}</p>'
    return Picture(head + _figure(example), example.text, f"{example.recording}, {example.mode}")


def _figure(example: Shown) -> str:
    with styled(**{"axes.grid": False}):
        rows = 1 + 2 * (example.predicted is not None)
        figure = canvas(WIDE, 2.0 + 0.9 * (rows - 1))
        axes = figure.subplots(rows, 1, height_ratios=[*([1.0] * (rows - 1)), 2.2], squeeze=False)[:, 0]
        if example.predicted is not None and example.true is not None:
            limits = {"vmin": float(np.percentile(example.true, 5)), "vmax": float(np.percentile(example.true, 99.5))}
            for ax, name, bands in ((axes[0], "true", example.true), (axes[1], "predicted", example.predicted)):
                seconds = len(bands) * 256 / 22050
                ax.imshow(
                    bands.T, origin="lower", aspect="auto", extent=(0, seconds, 0, 80), cmap="magma",
                    interpolation="nearest", **limits,
                )  # fmt: skip
                ax.set_ylabel(name, fontsize=7)
                ax.set_yticks([])
                ax.tick_params(axis="x", labelsize=6)
        last = axes[-1]
        traces(last, example.emg, example.rate_hz, example.channels, "", size=6, start_s=1e-9)
        above: dict[str, Any] = {"transform": last.get_xaxis_transform(), "va": "bottom", "ha": "center"}
        for number, (first, end, word) in enumerate(example.spans):
            last.axvspan(first, end, color=MUTED, alpha=0.2 if number % 2 else 0.1, linewidth=0)
            last.text((first + end) / 2, 1.02, word, fontsize=7, color=INK, **above)
        last.set_xlabel("s", fontsize=7)
        return svg(figure, f"spectra and EMG of {example.text}")


def _transcripts(answers: Transcripts) -> Section:
    """Truth and what was said, the same utterances for every way of saying it."""
    step = max(1, len(answers) // LISTED)
    rows = []
    for i in range(0, len(answers), step):
        cells = [f"<th>{html.escape(answers.text[i])}</th>"]
        for said in (answers.greedy[i], answers.decoded[i], answers.heard[i]):
            shown_ = "" if said == UNDECODED else marked(str(answers.text[i]), str(said))
            cells.append(f"<td>{shown_}</td>")
        rows.append(f"<tr>{''.join(cells)}</tr>")
    heads = ("said in truth", "best path", "with lexicon and language model", "recogniser hears the voice")
    table = "".join(f"<th>{head}</th>" for head in heads)
    text = f'<div class="scroll"><table><thead><tr>{table}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
    note = "Wrong words bold with the right one behind, left-out words struck through, words too many with a plus."
    return Section("transcripts", "Transcripts", _searched(answers), figures=(Picture(text),), note=note)


def _searched(answers: Transcripts) -> str:
    """Which words the search may give, and what its language model has read."""
    told = json.loads(answers.told_of[0]).get("decoding", {})
    if not told:
        return ""
    words = "any word" if told["lexicon"] == "open" else f"{count(told['lexicon'])} words"
    if told.get("words") not in (None, "closed", "corpus", "open"):
        words += f" of {told['words']}"
    if told.get("words") == "corpus":
        words += ", those of held-out sentences among them"
    model = "no language model"
    if told["order"]:
        model = f"a {told['order']}-gram model of {told['language']}, of weight {told['model_weight']:g}"
    return f"The search knows {words}, and {model}.{_missing(told.get('unknown', {}))}"


def _missing(unknown: dict[str, list[int]]) -> str:
    """Which share of the test's words the search cannot give, or knows nothing about."""
    found = [
        f" {percent(lost / every)} % of the test's words are not in its {name}{end}."
        for name, end in (("lexicon", ", so that they must be wrong"), ("model", ""))
        for lost, every in [unknown.get(name, (0, 0))]
        if lost
    ]
    return "".join(found)


def _chance(answers: Transcripts) -> str:
    """What one says who hears nothing."""
    told = json.loads(answers.told_of[0]).get("chance", {})
    if "unigram" not in told:
        return ""
    return (
        "Without any signal: 100 % wrong who says nothing, "
        f"{percent(told['unigram'])} % who says '{told['word']}' as often as a training sentence has words."
    )


def _by_kind(answers: Transcripts) -> Section:
    """Error rates by mode, session and length of sentence."""
    words = np.array([len(text.split()) for text in answers.text])
    lengths = np.full(len(answers), "", object)
    for low, high in LENGTHS:
        lengths[(words >= low) & (words <= high)] = f"{low} to {high} words" if high < 99 else f"{low} words or more"
    groups = (("mode", answers.mode), ("session", answers.session), ("length", lengths))
    counts = answers.counts()
    columns = [
        ("best path", GREEDY),
        ("without LM", UNAIDED),
        ("with lexicon and LM", DECODED),
        ("voice, by the recogniser", HEARD),
    ]
    columns = [(name, row) for name, row in columns if counts[:, row, 3].sum()]
    rows = []
    for kind, values in groups:
        for value in dict.fromkeys(sorted(values.tolist())):
            mine = counts[values == value].sum(0)
            cells = [percent(mine[row, :3].sum() / max(mine[row, 3], 1)) + " %" for _, row in columns]
            total = int(words[values == value].sum())
            rows.append((f"{kind}: {value}", count(int((values == value).sum())), count(total), *cells))
    heads = ("", "utterances", "words", *(f"WER {name}" for name, _ in columns))
    return Section(
        "errors", "Word errors by mode, session and length", _chance(answers), tables=(Grid(heads, tuple(rows)),)
    )
