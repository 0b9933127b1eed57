"""Heard: what a report shows of a recogniser from elsewhere that has heard a run's voices."""

from __future__ import annotations

import html
from pathlib import Path

from myoflow.report.words import DASH, NONE, marked, percent
from myoflow.section import Grid, Picture, Section
from myoflow.speech.answers import UNDECODED
from myoflow.speech.heard import Heard, all_heard
from myoflow.text.measures import Rate

LISTED = 30  # utterances in the table

OWN = "the recipe's recogniser, its lexicon and language model"
PLAIN = "the recipe's recogniser, likeliest letters"


def sections(folder: Path) -> list[Section]:
    """One for each judge that has heard the run in this folder."""
    return [_section(heard, number) for number, heard in enumerate(all_heard(folder), start=1)]


def rates(heard: Heard) -> list[tuple[str, str, str]]:
    """Each recogniser with its word error rate on made and on true voices, in words."""
    rows = [(heard.judge, "made", "true"), (OWN, "own_made", "own_true"), (PLAIN, "own_plain", "")]
    return [(name, _text(heard.rate(made)), _text(heard.rate(true)) if true else NONE) for name, made, true in rows]


def _text(rate: Rate | None) -> str:
    if rate is None:
        return NONE
    return f"{percent(rate.value)} % [{percent(rate.low)}{DASH}{percent(rate.high)}]"


def _section(heard: Heard, number: int) -> Section:
    cells = []
    for i in range(0, len(heard.text), max(1, len(heard.text) // LISTED)):
        said = (heard.made[i], heard.true[i])
        shown = ("" if text == UNDECODED else marked(heard.text[i], text) for text in said)
        cells.append(f"<tr><th>{html.escape(heard.text[i])}</th>{''.join(f'<td>{text}</td>' for text in shown)}</tr>")
    heads = "".join(
        f"<th>{head}</th>" for head in ("said in truth", "heard in the made voice", "heard in the true voice")
    )
    table = f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{"".join(cells)}</tbody></table></div>'
    return Section(
        f"judge-{number}",
        f"Heard by {heard.judge}",
        f"A {heard.family} model that has learned nothing from this corpus hears the voices of {len(heard.text)} test "
        "utterances. What it mishears in the true voices is the floor of what made ones can reach.",
        figures=(Picture(table),),
        tables=(Grid(("recogniser", "WER, made voice", "WER, true voice"), tuple(rates(heard))),),
        note=(
            "All texts here in Whisper's English normalisation, digits one by one, so rates can differ a little from "
            "those above. The recipe's recogniser knows the words of the corpus, this one does not. Intervals over "
            "utterances."
        ),
    )
