"""Outside: a finished run's made voices heard by a recogniser that knows nothing of the corpus."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from myoflow.dsp.mel import RATE_HZ
from myoflow.errors import InputError
from myoflow.files import read_json
from myoflow.progress import Progress
from myoflow.speech import pretrained
from myoflow.speech.answers import UNDECODED, Transcripts
from myoflow.speech.heard import COLUMNS, Heard
from myoflow.speech.shown import vocoder_of
from myoflow.speech.targets import voice_of
from myoflow.speech.voicing import speaker
from myoflow.store import open_store

if TYPE_CHECKING:
    from myoflow.recipe import Recipe
    from myoflow.run import Run
    from myoflow.speech.pretrained import Recogniser
    from myoflow.store import Store


def check(recipe: Recipe, judge: str) -> None:
    """What can be known before anything is trained. Raises InputError: no voices, or a judge that cannot be loaded."""
    _speaks(recipe)
    pretrained.load(judge)


def judge(run: Run, name: str, progress: Progress | None = None) -> Heard:
    """What the model called `name` hears in the first seed's voices of all test utterances and in the true ones.

    Kept in the run's folder, where the report finds it.

    Raises:
        InputError: as `check`, or the data of the run is gone.
    """
    _speaks(run.recipe)
    recogniser, store = pretrained.load(name), _store(run.folder)
    parts = list(_answers(run))
    rows: list[tuple[str, ...]] = []
    with (progress or Progress()).phase(f"Hearing by {recogniser.family}", sum(map(len, parts))) as advance:
        for answers in parts:
            speak = speaker(vocoder_of(answers))
            for row in range(len(answers)):
                rows.append(_row(answers, row, recogniser, store, speak))
                advance(1)
    columns: dict[str, Any] = dict(zip(COLUMNS, zip(*rows, strict=True), strict=True))
    found = Heard(name, recogniser.family, run.recipe.train.seeds[0], **columns)
    found.save(run.folder)
    return found


def _row(answers: Transcripts, row: int, recogniser: Recogniser, store: Store, speak: Callable[[Any], Any]) -> Any:
    """One utterance's part of `COLUMNS`."""
    recording, bands = str(answers.recording[row]), answers.audio[row]
    voice = store.raw(str(answers.twin[row]) or recording)
    own = (str(column[row]) for column in (answers.heard, answers.heard_plain, answers.floor))
    return (
        recording,
        recogniser.normalised(str(answers.text[row])),
        recogniser.text(speak(bands), RATE_HZ) if len(bands) else UNDECODED,
        # A silent mouth without a spoken twin has no voice to hear.
        recogniser.text(voice_of(voice), RATE_HZ) if voice.attrs.get("mode") != "silent" else UNDECODED,
        *(text if text == UNDECODED else recogniser.normalised(text) for text in own),
    )


def _speaks(recipe: Recipe) -> None:
    task = recipe.train.task
    if not getattr(task, "sound", False):
        raise InputError(f"--judge hears made voices; the task {task.name} makes none (speech and transduce do)")


def _answers(run: Run) -> Iterator[Transcripts]:
    """The main model's answers of each fold."""
    for fold in range(1, len(run.metrics["split"]) + 1):
        yield Transcripts.load(run.weights_file(fold=fold).parent / "predictions.npz")


def _store(folder: Path) -> Store:
    """The recordings that the run was asked about."""
    place = Path(read_json(folder / "data.json", {"store": ""})["store"])
    if not (place / "index.json").is_file():
        raise InputError(f"{place}, the data of {folder}, is gone: there are no true voices to compare with")
    return open_store(place)
