from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import attrs
import matplotlib as mpl
import numpy as np
import pytest

from myoflow.report.gestures import Example, Timeline, example_figure, sections
from myoflow.report.page import render, write
from myoflow.report.summary import DatasetCard, Protocol, RunSummary

SECTIONS = [
    "result", "protocol", "subjects", "confusion", "decisions", "examples", "learning", "data", "plan", "timing",
    "environment", "files",
]  # fmt: skip
VOID = {"meta", "br", "img", "link", "input", "hr"}
NASTY = "<script>alert(1)</script>&\"'$x_1$"


class Reader(HTMLParser):
    """Collects what a page would load, its sections, its text, and whether its tags close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.tags: set[str] = set()
        self.text = ""
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)
        self._note(tag, attributes)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self._note(tag, attributes)

    def _note(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            value = value or ""
            if name == "id" and tag == "section":
                self.ids.append(value)
            if tag == "a" and name == "href":
                self.links.append(value)
            elif name in ("src", "href", "xlink:href", "srcset", "data", "poster", "action"):
                self.loads.append(value)
            if name == "style":
                self.loads += re.findall(r"url\(\s*['\"]?([^)'\"]*)", value)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes <{self.open[-1:]}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.open and self.open[-1] == "style":
            self.loads += re.findall(r"(?:url\(|@import)\s*['\"]?([^)'\";]*)", data)


@pytest.fixture(scope="module")
def page(summary: RunSummary) -> str:
    return render(summary)


def test_every_section_is_there_once(page: str) -> None:
    reader = Reader(page)
    assert sorted(reader.ids) == sorted(SECTIONS)
    assert {link[1:] for link in reader.links if link.startswith("#")} == set(SECTIONS)
    assert reader.open == []


def test_the_page_loads_nothing_from_anywhere(page: str) -> None:
    reader = Reader(page)
    assert reader.loads, "the figures refer to their own parts at least"
    assert all(load.startswith(("#", "data:image/png;base64,")) for load in reader.loads)
    assert not reader.tags & {"script", "link", "iframe", "object", "embed", "img", "base"}
    outside = [link for link in reader.links if not link.startswith("#")]
    assert outside == ["https://archive.ics.uci.edu/dataset/481/emg+data+for+gestures"]
    assert page.count("http:") == 0 and page.count("https:") == 1
    assert "default-src 'none'" in page


def test_references_inside_figures_find_their_target(page: str) -> None:
    ids = set(re.findall(r'\bid="([^"]+)"', page))
    for target in re.findall(r'(?:xlink:href="#|url\(#)([^")]+)', page):
        assert target in ids
    assert "#0f0e" not in page, "a stand-in colour was left"


def test_numbers_arrive(page: str, summary: RunSummary) -> None:
    text = re.sub(r"\s+", " ", Reader(page).text)
    assert summary.scores is not None
    main = summary.scores["models"]["tinymyo"]["metrics"]["accuracy"]
    assert f"{100 * main['value']:.1f}%" in text
    assert f"[{100 * main['low']:.1f}–{100 * main['high']:.1f}]" in text
    gap = summary.scores["differences"]["lda"]["accuracy"]
    assert f"tinymyo minus lda: +{100 * gap['value']:.1f} points" in text
    assert "6 test subjects" in text and "only 6 subjects" in text
    assert "01–24 (24)" in text and "31–36 (6)" in text
    assert "1 s (200 samples at 200 Hz), one every 250 ms" in text
    assert "3.56 M" in text and "301 M" in text and "13.7 MiB" in text
    assert "1 min 35 s" in text and "torch2.9.1" in text and "weights.safetensors" in text
    matrix = summary.scores["models"]["tinymyo"]["confusion"]
    assert str(matrix[0][0]) in text


def test_the_least_summary_renders() -> None:
    reader = Reader(render(RunSummary(title="Bare", recipe="bare")))
    assert reader.ids == [] and "Bare" in reader.text and "None" not in reader.text


@pytest.mark.parametrize(
    "part", ["protocol", "dataset", "data", "plan", "scores", "curves", "sections", "timing", "files"]
)
def test_each_part_renders_alone(summary: RunSummary, part: str) -> None:
    text = render(attrs.evolve(RunSummary(title="One", recipe="r"), **{part: getattr(summary, part)}))
    reader = Reader(text)
    assert 1 <= len(reader.ids) <= 3 and reader.open == []
    assert ">None<" not in text


def test_names_are_escaped_and_dollars_are_not_formulas(
    summary: RunSummary, line: Timeline, examples: list[Example]
) -> None:
    assert summary.scores is not None
    rename = {old: f"{NASTY} {i}" for i, old in enumerate(summary.scores["labels"])}
    models = {f"{NASTY} {name}": model for name, model in summary.scores["models"].items()}
    scores = {
        **summary.scores,
        "labels": list(rename.values()),
        "main": f"{NASTY} tinymyo",
        "models": models,
        "differences": {f"{NASTY} lda": summary.scores["differences"]["lda"]},
    }
    nasty = attrs.evolve(
        summary,
        title=NASTY,
        recipe=NASTY,
        warnings=(NASTY,),
        scores=scores,
        dataset=DatasetCard(title=NASTY, citation=NASTY, home="javascript:alert(1)"),
        sections=tuple(
            sections(
                scores,
                attrs.evolve(line, labels=tuple(rename.values()), recording=NASTY),
                [attrs.evolve(e, truth=NASTY, recording=NASTY, channels=(NASTY,) * 8) for e in examples],
            )
        ),
        environment={NASTY: NASTY},
    )
    text = render(nasty)
    reader = Reader(text)
    assert "script" not in reader.tags
    assert "<script" not in text and "javascript:" not in text
    assert reader.open == []
    assert reader.text.count("$x_1$") > 20


def test_the_same_summary_gives_the_same_page_whatever_the_settings(page: str, summary: RunSummary) -> None:
    with mpl.rc_context({"font.size": 20, "axes.facecolor": "red", "svg.fonttype": "path", "axes.grid": False}):
        assert render(summary) == page
        assert mpl.rcParams["font.size"] == 20


def test_another_process_gives_the_same_page(page: str) -> None:
    here = Path(__file__).parent
    code = "import sys; from conftest import make_summary; from myoflow.report.page import render;"
    code += "sys.stdout.buffer.write(render(make_summary()).encode())"
    out = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONPATH": f"{here}{os.pathsep}{here.parents[1]}", "PYTHONHASHSEED": "77"},
    ).stdout.decode()
    assert out == page


def test_dense_signals_become_pixels_and_stay_small(examples: list[Example]) -> None:
    dense = np.random.default_rng(0).normal(size=(16, 4000))
    example = attrs.evolve(examples[0], signal=dense, rate_hz=2000.0, channels=())
    text = example_figure(example)
    assert "data:image/png;base64," in text
    assert len(text) < 400_000


def test_banners_warn_of_leaks_and_simulation() -> None:
    leaking = Protocol(kind="published", leaks=("windows overlap across the split.",))
    card = DatasetCard(title="Made up", simulated=True)
    text = Reader(render(RunSummary(title="T", recipe="r", protocol=leaking, dataset=card))).text
    assert "Published protocol: windows overlap across the split." in text
    assert "Simulated data" in text
    strict = Reader(render(RunSummary(title="T", recipe="r", protocol=Protocol()))).text
    assert "Published" not in strict and "strict protocol" in strict


# Every warning of its own is an error, but not what other tests have left behind and is collected just now.
@pytest.mark.filterwarnings("error", "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_broken_signals_still_draw(examples: list[Example]) -> None:
    flat, holes = np.zeros((2, 50)), np.full((2, 50), np.nan)
    holes[0, :10] = 1.0
    for signal in (flat, holes):
        example = attrs.evolve(examples[0], signal=signal, channels=("a", "b"))
        assert "<svg" in example_figure(example)


def test_write_leaves_one_whole_file(tmp_path: Path, summary: RunSummary, page: str) -> None:
    path = write(summary, tmp_path / "report.html")
    assert path.read_text(encoding="utf-8") == page
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_the_page_needs_no_pyplot() -> None:
    code = "import myoflow.report.page, myoflow.report.picture, sys; print('matplotlib.pyplot' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "False"
