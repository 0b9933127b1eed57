"""Losses of silent speech: spectra, aligned in time where the mouth was silent, phonemes, and characters by CTC."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from myoflow.dsp.alignment import partners
from myoflow.dsp.mel import CEPSTRA, cepstrum
from myoflow.errors import InputError, MyoflowError
from myoflow.text.measures import errors

if TYPE_CHECKING:
    from myoflow.speech.utterances import Utterances

EPSILON = 1e-6  # under the root of a distance: its gradient at zero is finite


def spectra(output: Mapping[str, Tensor], target: Mapping[str, Tensor], weight: float, silent: float = 1.0) -> Tensor:
    """Mean per target frame of `|y - y'|_2 + weight CE(phoneme)`, over the utterances of a batch that have sound.

    `output` has `audio` `(utterance, frame, band)`, perhaps `phonemes` (logits), and `length`; `target` has `mel`,
    `mel_length`, `phones` per frame and `silent`. Where the mouth was silent, the target is the same sentence spoken
    aloud at another time and pace: each of its frames is matched with one predicted frame by dynamic time warping over
    the same costs, without gradient. `silent` is how much a frame of those weighs.
    Source: Gaddy and Klein 2020, arXiv 2010.02960, eq. 2, and 2021, arXiv 2106.01933, eq. 3.
    """
    wanted_mel, audio, length = target["mel"], output["audio"], output["length"]
    bands = wanted_mel.shape[-1]
    if audio.shape[-1] % bands:
        bands = CEPSTRA
        wanted_mel = torch.from_numpy(cepstrum(wanted_mel.cpu().numpy(), bands)).to(audio)
    several = audio.shape[-1] // bands
    audio, length = unfolded(audio, several), length * several
    logps = F.log_softmax(unfolded(output["phonemes"], several), -1) if "phonemes" in output else None
    total = audio.sum() * 0
    frames = 0.0
    for row in range(len(audio)):
        there, wanted = int(length[row]), int(target["mel_length"][row])
        if not wanted:
            continue
        predicted, true = audio[row, :there], wanted_mel[row, :wanted]
        logp = None if logps is None else logps[row, :there]
        phones = target["phones"][row, :wanted]
        quiet = bool(target["silent"][row])
        if quiet:
            index = matched(predicted, true, logp, phones, weight)
        else:
            index = torch.arange(min(there, wanted), device=true.device)
            true, phones = true[: len(index)], phones[: len(index)]
        loss = distance(predicted[index], true).sum()
        if logp is not None:
            known = phones >= 0
            loss = loss - weight * logp[index[known], phones[known]].sum()
        share = silent if quiet else 1.0
        total, frames = total + share * loss, frames + share * len(index)
    return total / frames if frames else total


def unfolded(frames: Tensor, several: int) -> Tensor:
    """`(utterance, frame, several x feature)` -> `(utterance, several x frame, feature)`."""
    return frames.reshape(len(frames), frames.shape[1] * several, -1)


def distance(one: Tensor, other: Tensor) -> Tensor:
    """Euclidean distance frame by frame: `(frame, band)` twice -> `(frame,)`."""
    return ((one - other).square().sum(-1) + EPSILON).sqrt()


def matched(predicted: Tensor, true: Tensor, logp: Tensor | None, phones: Tensor, weight: float) -> Tensor:
    """For every true frame the predicted frame that the cheapest warping gives it: `(true frame,)`."""
    with torch.no_grad():
        cost = torch.cdist(true, predicted)
        if logp is not None:
            cost = cost - weight * torch.where(phones[:, None] >= 0, logp[:, phones.clamp(min=0)].T, 0.0)
        index = partners(cost.double().cpu().numpy())
    return torch.from_numpy(index).to(true.device)


def characters(output: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> Tensor:
    """CTC: minus the log-probability of all alignments of the text, over its length, mean over utterances.

    `output` has `text` (logits, the blank last) and `length`; `target` has `text` `(utterance, character)` and
    `text_length`. A text longer than the frames has no alignment and counts zero. Source: Graves et al. 2006.
    """
    logp = F.log_softmax(output["text"], -1).transpose(0, 1)
    blank = output["text"].shape[-1] - 1
    return F.ctc_loss(
        logp, target["text"], output["length"], target["text_length"], blank=blank, zero_infinity=True
    )  # fmt: skip


def right(logits: Tensor, target: Mapping[str, Tensor], length: Tensor) -> Tensor:
    """1 minus each utterance's character error rate along the best path, not below 0, summed over the batch."""
    best = logits.argmax(-1).cpu().numpy()
    total = 0.0
    for row in range(len(best)):
        said = collapsed(best[row, : int(length[row])], logits.shape[-1] - 1)
        wanted = target["text"][row, : int(target["text_length"][row])].cpu().numpy().tolist()
        found = errors(" ".join(map(str, wanted)), " ".join(map(str, said)))  # characters in the place of words
        total += max(0.0, 1 - found.wrong / max(found.words, 1))
    return torch.tensor(total)


def collapsed(path: Any, blank: int) -> list[int]:
    """A path of characters without repetitions, then without blanks."""
    found, last = [], blank
    for item in path.tolist():
        if item != last and item != blank:
            found.append(item)
        last = item
    return found


def spellable(module: torch.nn.Module, examples: Utterances, most: float = 0.1) -> None:
    """Raises InputError: more than `most` of the texts have more letters than the network has frames for them.

    CTC gives such a text no chance, and the loss is 0 there: it would not be learned, and nobody would notice.
    """
    batch = {name: torch.from_numpy(values) for name, values in examples.take(np.arange(1)).items()}
    training = module.training
    with torch.no_grad():
        frames = module.eval()(batch)["length"]
    module.train(training)
    share = float(frames[0]) / float(batch["length"][0])
    lost = []
    for row, target in enumerate(examples.targets):
        text = target.text
        needed = len(text) + sum(a == b for a, b in pairwise(text))  # a blank parts two equal letters
        there = math.ceil(examples.signals[row].shape[1] * share)
        if needed > there:
            lost.append(f"'{text[:30]}' of {examples.ids[row]} needs {needed} and gets {there}")
    if len(lost) > most * len(examples):
        raise InputError(
            f"the network gives {share * examples.rate_hz:.3g} frames a second, too few to spell {len(lost)} of "
            f"{len(examples)} training texts ({lost[0]}): make the stem's strides smaller"
        )


def check(output: Mapping[str, Tensor]) -> None:
    """Raise MyoflowError for an output that no longer is a number."""
    for name, values in output.items():
        if values.is_floating_point() and not bool(torch.isfinite(values).all()):
            raise MyoflowError(f"the network's head {name} gives values that are no numbers")
