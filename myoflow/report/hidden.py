"""Hidden: what a report shows of pre-training, reconstructions, losses and how alike channels are to the network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from myoflow.report.figures import GRID, HALF, INK, MUTED, SERIES, WIDE, canvas, styled, svg
from myoflow.section import Grid, Picture, Section

if TYPE_CHECKING:
    from myoflow.answers.reconstructions import Reconstructions
    from myoflow.task import View

SHOWN = 8  # windows drawn


def sections(view: View) -> list[Section]:
    """The parts of a pre-training's report, of the first seed."""
    first = {name: seeds[0] for name, seeds in view.models.items()}
    main = first[view.main].ordered()
    rate = view.plans[view.main].output.rate_hz
    found = [
        Section(
            "reconstructions",
            "Reconstructions",
            figures=(Picture(reconstruction_figure(main, shown(main), rate)),),
            note="Held-out windows, of each the channel with most hidden patches: the signal, and over the shaded "
            "spans what the network guessed from the rest. Windows of every tenth of the masked loss, easy to hard.",
        ),
        Section("guesses", "Guesses without learning", tables=(_table(first),), note=_EXPLAINED),
    ]
    alike = channel_similarity(view)
    if alike is not None:
        names = [name for name in view.plans[view.main].output.channels]
        found.append(
            Section(
                "channels",
                "Channels as the network knows them",
                figures=(Picture(similarity_figure(alike, names)),),
                note="Cosine between the learned vectors of channels. Electrodes of an armband stand on a ring: "
                "neighbours alike, and the first like the last, is what a network that has found that out shows."
                + (_EMPTY if any(name.startswith("pad") for name in names) else ""),
            )
        )
    return found


_EMPTY = (
    " Places named pad are empty in the first data: where no further store has electrodes there either, their vectors "
    "are as they were drawn and say nothing."
)
_EXPLAINED = (
    "SmoothL1 of hidden samples, mean over windows. Patch mean: every hidden patch is the mean of the visible ones of "
    "its window, the most that a network without positions could aim at. Lines: straight lines between the visible "
    "samples of the channel. Explained: the share of the patch mean's loss that the network saves."
)


def shown(answers: Reconstructions) -> list[int]:
    """Rows to draw, from easy to hard."""
    order = np.argsort(answers.masked, kind="stable")
    return [int(order[round(at * (len(order) - 1))]) for at in np.linspace(0.05, 0.95, min(SHOWN, len(order)))]


def _table(models: dict[str, Reconstructions]) -> Grid:
    rows = []
    for name, answers in models.items():
        source = np.array([subject.rpartition("/")[0] for subject in answers.subject])
        for each in sorted(set(source.tolist())):
            own = answers.take(source == each)
            losses = [own.masked.mean(), own.mean.mean(), own.line.mean(), own.visible.mean()]
            saved = 100 * (1 - losses[0] / losses[1])
            label = f"{name}, {each}" if each else name
            rows.append((label, str(len(own)), *(f"{loss:.4f}" for loss in losses), f"{saved:.1f} %"))
    return Grid(("", "windows", "network", "patch mean", "lines", "visible", "explained"), tuple(rows))


def reconstruction_figure(answers: Reconstructions, rows: Sequence[int], rate_hz: float) -> str:
    """One small axis a window: truth in grey, guesses over shaded hidden spans."""
    with styled():
        figure = canvas(WIDE, 1.15 * -(-len(rows) // 2))
        axes = figure.subplots(-(-len(rows) // 2), 2, squeeze=False).ravel()
        for ax, row in zip(axes, rows, strict=False):
            truth, guess = answers.truth[row].astype(float), answers.guess[row].astype(float)
            hidden, time = answers.hidden[row], np.arange(len(truth)) / rate_hz
            length = len(truth) // len(hidden)
            for patch in np.flatnonzero(hidden):
                ax.axvspan(patch * length / rate_hz, (patch + 1) * length / rate_hz, color=GRID, linewidth=0, alpha=0.7)
            ax.plot(time, truth, color=MUTED, linewidth=0.8)
            for patch in np.flatnonzero(hidden):
                span = slice(patch * length, (patch + 1) * length)
                ax.plot(time[span], guess[span], color=SERIES[0], linewidth=1.1)
            ax.set(xlim=(0, len(truth) / rate_hz))
            where = f"{answers.recording[row]}, {answers.start_s[row]:.1f} s, channel {answers.channel[row] + 1}"
            ax.set_title(where, fontsize=7, color=MUTED)
            ax.tick_params(labelsize=7)
            ax.grid(visible=False)
        for ax in axes[len(rows) :]:
            ax.set_visible(False)
        return svg(figure, "Held-out windows with hidden spans and what was guessed there")


def channel_similarity(view: View) -> npt.NDArray[Any] | None:
    """Cosines between the learned vectors of channels, `(channel, channel)`; None where there are none."""
    from safetensors.numpy import load_file

    paths = sorted((view.folder / "fold-1" / view.main).glob("seed-*/weights.safetensors"))
    vectors = load_file(paths[0]).get("weight.tinymyo.channel_embed") if paths else None
    if vectors is None:
        return None
    vectors = vectors[0, :, 0].astype(float)
    vectors -= vectors.mean(0)  # what all share tells none apart
    size = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return np.asarray((vectors / size) @ (vectors / size).T)


def similarity_figure(alike: npt.NDArray[Any], names: Sequence[str]) -> str:
    """The matrix as squares in one colour, darker for more alike; negative ones stay empty."""
    from matplotlib.colors import to_rgba

    count = len(alike)
    with styled():
        figure = canvas(HALF, HALF)
        ax = figure.add_subplot()
        for i in range(count):
            for j in range(count):
                tone = to_rgba(SERIES[0], float(np.clip(alike[i, j], 0, 1)))
                ax.fill(
                    [j - 0.5, j + 0.5, j + 0.5, j - 0.5], [i - 0.5, i - 0.5, i + 0.5, i + 0.5], color=tone, linewidth=0
                )
                if count <= 12:
                    ax.text(j, i, f"{alike[i, j]:.1f}", ha="center", va="center", fontsize=7, color=INK)
        labels = list(names) if len(names) == count else [str(i + 1) for i in range(count)]
        ax.set_xticks(range(count), labels, rotation=90, fontsize=7)
        ax.set_yticks(range(count), labels, fontsize=7)
        ax.set(xlim=(-0.5, count - 0.5), ylim=(count - 0.5, -0.5), aspect="equal")
        ax.grid(visible=False)
        return svg(figure, "Cosine between the learned vectors of channels")
