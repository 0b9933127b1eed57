"""Wrong heads of a recipe: one line each, with the place in the file and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from myoflow.errors import RecipeError
from myoflow.models import plan_recipe
from myoflow.recipe import load

GOOD = """\
data: {dataset: simulated_speech, split: sentences}
pipeline:
  - resample: {rate: 689.0625 Hz}
  - utterance
  - conv_stem: {widths: [8, 8, 8], strides: [2, 2, 2]}
  - tinymyo: {layers: 1, width: 8, heads: 2}
heads:
  text: [ctc]
  audio: [mel: {features: mel80}]
  phonemes: [phonemes]
train: {task: speech}
"""

# what is broken: (text of GOOD, what stands there instead, line:column, part of the message)
BROKEN = {
    "a stage that is not there": ("[ctc]", "[ctcc]", "8:10", "there is no stage 'ctcc'; did you mean 'ctc'?"),
    "a field that is not there": ("features:", "feature:", "9:17", "has no field 'feature'; did you mean 'features'?"),
    "a value that is not there": ("mel80", "mfcc13", "9:27", "mel.features: "),
    "no list": ("[ctc]", "ctc", "8:9", "heads.text takes a list"),
    "a name that makes no folder": ("  text:", '  "te/xt":', "8:3", "'te/xt' is no name"),
    "a stage that learns nothing": ("[phonemes]", "[rectify]", "10:14", "rectify takes (channel, time)"),
    "too few bands": ("features: mel80", "bands: 20", "9:24", "needs 26 bands or more, got 20"),
    "an alphabet that says a letter twice": ("[ctc]", "[ctc: {characters: aab}]", "8:28", "each once: 'aab'"),
    "another alphabet than the task's": (
        "[ctc]",
        "[ctc: {characters: abc}]",
        "8:3: ",
        "other characters than the task",
    ),
    "a head that is missing": ("  audio: [mel: {features: mel80}]\n", "", "7:1: ", "needs a head called 'audio'"),
    "another rate than a voice's": ("[2, 2, 2]", "[2, 2, 4]", "9:3: ", "but a voice has 86.13"),
    "a vocoder as a head": (
        "[mel: {features: mel80}]",
        "[mel, hifigan]",
        "9:3: ",
        "time …); the vocoder of a voice is named in train.vocoder",
    ),
    "text that a task of voices does not learn": (
        "task: speech",
        "task: transduce",
        "8:3: ",
        "not learn the head 'text'",
    ),
    "a voice that a task of text does not learn": (
        "task: speech",
        "task: recognise",
        "9:3: ",
        "only text: leave it out",
    ),
    "phonemes without labels": ("split: sentences}", "split: sentences, labels: [sil]}", "1:61", "two labels or more"),
}


@pytest.mark.parametrize("case", list(BROKEN))
def test_broken(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    old, new, place, part = BROKEN[case]
    assert GOOD.count(old) == 1
    Path("x.yaml").write_text(GOOD.replace(old, new))
    with pytest.raises(RecipeError) as caught:
        plan_recipe(load("x.yaml"))
    line = str(caught.value)
    assert line.startswith(f"x.yaml:{place}") and part in line and "\n" not in line
    assert caught.value.exit_code == 2


def test_the_unbroken_recipe_is_planned(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(GOOD)
    (plan,) = plan_recipe(load(tmp_path / "x.yaml")).values()
    assert plan.output.size("feature") == 38 + 80 + 40
