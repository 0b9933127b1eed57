"""A run as a recipe would leave it, small and made up."""

from __future__ import annotations

import numpy as np
import pytest

from myoflow.answers.predictions import Predictions
from myoflow.answers.scores import summarise
from myoflow.report.gestures import Example, Timeline, sections
from myoflow.report.summary import (
    Curve,
    DataRow,
    DatasetCard,
    PlanRow,
    Protocol,
    RunFile,
    RunSummary,
    Timing,
)
from myoflow.tasks.classify import Classify

LABELS = ("rest", "fist", "wrist flexion", "wrist extension", "radial deviation", "ulnar deviation")
CHANNELS = tuple(f"E{i}" for i in range(1, 9))
SUBJECTS = ("31", "32", "33", "34", "35", "36")


def make_predictions(skill: float, seed: int, subjects: tuple[str, ...] = SUBJECTS, each: int = 60) -> Predictions:
    """`each` windows a subject, five to a repetition; `skill` lifts the right label's score."""
    draw = np.random.default_rng(7)
    n, k = len(subjects) * each, len(LABELS)
    index = np.arange(n)
    label = (index // 5) % k
    ease = draw.normal(0, 0.5, len(subjects))[index // each]
    scores = np.random.default_rng(seed).normal(size=(n, k))
    scores[index, label] += skill + ease
    subject = np.array(subjects)[index // each]
    return Predictions(
        scores=scores,
        label=label,
        labels=LABELS,
        subject=subject,
        session=np.full(n, "01"),
        repetition=index % each // (5 * k),
        recording=np.array([f"sub-{name}/ses-01/run-1" for name in subject]),
        start_s=index % each * 0.25,
    )


def emg(label: int, samples: int, seed: int) -> np.ndarray:
    """Noise whose loud channels turn with the label, in volts."""
    noise = np.random.default_rng(seed).normal(size=(len(CHANNELS), samples))
    gain = 0.15 + (label > 0) * np.exp(2 * np.cos(2 * np.pi * (np.arange(8) / 8 - label / 6))) / 5
    return noise * gain[:, None] * 1e-4


def make_timeline(rate: float = 200.0) -> Timeline:
    truth, signal, spans = [], [], []
    for i in range(12):
        label = 0 if i % 2 == 0 else 1 + (i // 2) % 5
        spans.append((i * 2.5, (i + 1) * 2.5, label))
        signal.append(emg(label, int(2.5 * rate), i))
        truth += [label] * 10
    start = np.arange(4, 120) * 0.25 - 0.75
    marked = np.array(truth)[4:]
    draw = np.random.default_rng(3)
    one, two = (np.where(draw.random(len(marked)) < p, draw.integers(0, 6, len(marked)), marked) for p in (0.06, 0.2))
    marked[40:44] = -1
    return Timeline(
        recording="sub-31/ses-01/run-1",
        subject="31",
        labels=LABELS,
        start_s=start,
        window_s=1.0,
        step_s=0.25,
        truth=marked,
        decisions={"tinymyo": one, "lda": two},
        spans=tuple(spans),
        signal=np.concatenate(signal, axis=1),
        rate_hz=rate,
        channels=CHANNELS,
    )


def make_plan() -> tuple[PlanRow, ...]:
    return (
        PlanRow("bandpass", "host", "channel 8, time …", "200 Hz", memory_bytes=2048, fields="low 20 Hz, high 90 Hz"),
        PlanRow("notch", "host", "channel 8, time …", "200 Hz", memory_bytes=512),
        PlanRow("window", "host", "channel 8, time 200", "200 Hz", delay_s=1.0),
        PlanRow("patch", "torch", "channel 8, patch 10, feature 20", "200 Hz", delay_s=1.0, branch="tinymyo"),
        PlanRow("tinymyo", "torch", "channel 8, patch 10, feature 192", "4 /s", 3_560_000, 301_000_000, 14_400_000, 1.0,
                "tinymyo"),
        PlanRow("classify", "torch", "label 6", "4 /s", 9_222, 9_216, 36_888, 1.0, "tinymyo"),
        PlanRow("features", "host", "feature 40", "4 /s", delay_s=1.0, branch="lda"),
        PlanRow("lda", "host", "label 6", "4 /s", 246, 240, 984, 1.0, "lda"),
    )  # fmt: skip


def make_examples() -> list[Example]:
    examples = []
    for i, (truth, one, two) in enumerate([(1, 1, 1), (2, 2, 3), (3, 3, 3), (4, 5, 4), (5, 5, 5), (0, 0, 1)]):
        decisions = {"tinymyo": (LABELS[one], 0.93 - 0.07 * i), "lda": (LABELS[two], None)}
        examples.append(
            Example(emg(truth, 200, 40 + i), 200.0, LABELS[truth], decisions, f"sub-3{i + 1}/ses-01/run-1", 3.25 + i,
                    CHANNELS)
        )  # fmt: skip
    return examples


def make_summary() -> RunSummary:
    models = {"tinymyo": [make_predictions(2.6, s) for s in (0, 1, 2)], "lda": [make_predictions(1.9, 9)]}
    epochs = tuple(range(1, 41))
    curves = [
        Curve(
            name=f"seed {s}",
            epoch=epochs,
            train_loss=tuple(0.45 + 1.3 * np.exp(-e / 8) + 0.01 * np.sin(e * (s + 2)) for e in epochs),
            valid_loss=tuple(0.62 + 1.1 * np.exp(-e / 7) + 0.02 * np.cos(e * (s + 3)) for e in epochs),
            valid_gauge=tuple(0.9 - 0.6 * np.exp(-e / 7) + 0.01 * np.cos(e * (s + 3)) for e in epochs),
            best_epoch=30 + s,
        )
        for s in (0, 1, 2)
    ]
    scores = summarise(models, main="tinymyo")
    return RunSummary(
        title="Hand gestures from a Myo armband",
        recipe="gestures_uci",
        created="2025-01-31 14:05",
        warnings=("2 of 72 recordings were left out: no label is marked in them.",),
        protocol=Protocol(
            kind="strict",
            split_by="subject",
            units={
                "train": tuple(f"{i:02d}" for i in range(1, 25)),
                "valid": tuple(str(i) for i in range(25, 31)),
                "test": SUBJECTS,
            },
            band="20–90 Hz, Butterworth of order 4, causal; notch at 50 Hz",
            window_s=1.0,
            window_samples=200,
            stride_s=0.25,
            rate_hz=200.0,
            normalisation="z-score per channel within each window",
            seeds=(0, 1, 2),
        ),
        dataset=DatasetCard(
            title="EMG data for gestures",
            citation="Lobov, Krilova, Kastalskiy, Kazantsev, Makarov (2018). Sensors 18(4), 1122.",
            licence="CC BY 4.0",
            restrictions="none known",
            home="https://archive.ics.uci.edu/dataset/481/emg+data+for+gestures",
            placement="Myo armband, 8 bipolar channels around the forearm",
        ),
        data=tuple(
            DataRow(split, units, 2 * len(units), 60 * len(units), dict.fromkeys(LABELS, 10 * len(units)))
            for split, units in (("train", tuple(f"{i:02d}" for i in range(1, 25))), ("test", SUBJECTS))
        ),
        plan=make_plan(),
        scores=scores,
        measures=Classify.measures,
        curves=tuple(curves),
        sections=tuple(sections(scores, make_timeline(), make_examples())),
        timing=(Timing("prepare", 3.2), Timing("train tinymyo", 95.4, "40 epochs on 2 cores"),
                Timing("predict", 0.0042, "per window, torch, one thread")),
        environment={"myoflow": "0.1.0", "python": "3.11.9", "torch": "2.9.1", "cpu": "2 × x86-64"},
        files=(RunFile("recipe.yaml", 1834, "the filled recipe"),
               RunFile("weights.safetensors", 14_432_000, "weights")),
    )  # fmt: skip


@pytest.fixture(scope="session")
def summary() -> RunSummary:
    return make_summary()


@pytest.fixture(scope="session")
def line() -> Timeline:
    return make_timeline()


@pytest.fixture(scope="session")
def examples() -> list[Example]:
    return make_examples()
