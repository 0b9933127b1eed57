"""Losses of silent speech: by hand, against torch, and through time that is bent."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from myoflow.speech.losses import characters, collapsed, matched, right, spectra

RNG = np.random.default_rng(0)


def target(mel: np.ndarray, phones: list[int], *, silent: bool, room: int = 3) -> dict[str, torch.Tensor]:
    """One utterance's target with `room` frames of padding, which must not count."""
    frames = len(mel)
    padded = np.full((1, frames + room, mel.shape[1]), 99.0, np.float32)
    padded[0, :frames] = mel
    marks = np.full((1, frames + room), 1, np.int64)
    marks[0, :frames] = phones
    return {
        "mel": torch.from_numpy(padded),
        "mel_length": torch.tensor([frames]),
        "phones": torch.from_numpy(marks),
        "silent": torch.tensor([int(silent)]),
    }


def test_a_spoken_utterance_by_hand():
    mel = np.array([[0.0, 0.0], [3.0, 4.0]], np.float32)
    audio = torch.zeros(1, 4, 2)
    audio[0, 2:] = 7.0  # beyond the utterance's own frames
    logits = torch.tensor([[[2.0, 0.0], [0.0, 2.0], [9.0, -9.0], [9.0, -9.0]]])
    output = {"audio": audio, "phonemes": logits, "length": torch.tensor([2])}
    entropy = -math.log(math.e**2 / (math.e**2 + 1))
    found = spectra(output, target(mel, [0, 1], silent=False), 0.5)
    assert found.item() == pytest.approx((0 + 5 + 0.5 * 2 * entropy) / 2, abs=2e-3)
    unknown = spectra(output, target(mel, [-1, -1], silent=False), 0.5)
    assert unknown.item() == pytest.approx(2.5, abs=2e-3)


def test_a_silent_utterance_is_compared_along_its_best_warping():
    """The same frames at another pace cost nothing when silent, and much when taken for spoken."""
    mel = RNG.standard_normal((20, 5)).astype(np.float32)
    slow = np.repeat(mel, RNG.integers(1, 4, 20), axis=0)
    output = {"audio": torch.from_numpy(slow[None]).requires_grad_(), "length": torch.tensor([len(slow)])}
    phones = [0] * 20
    assert spectra(output, target(mel, phones, silent=True), 0.5).item() < 0.01
    assert spectra(output, target(mel, phones, silent=False), 0.5).item() > 0.5


def test_every_true_frame_gets_one_predicted_frame_in_order():
    predicted, true = torch.randn(11, 3), torch.randn(7, 3)
    index = matched(predicted, true, None, torch.zeros(7, dtype=torch.long), 0.0).numpy()
    assert len(index) == 7 and (np.diff(index) >= 0).all() and index.min() >= 0 and index.max() <= 10
    # Frames that sound alike are told apart by their phonemes.
    same = torch.zeros(2, 3)
    logp = torch.log_softmax(torch.tensor([[5.0, 0.0], [5.0, 0.0], [0.0, 5.0]]), -1)
    found = matched(torch.zeros(3, 3), same, logp, torch.tensor([0, 1]), 1.0)
    assert found[1] == 2


def test_several_frames_at_once_and_the_cepstrum_head():
    mel = RNG.standard_normal((8, 40)).astype(np.float32)
    one = {"audio": torch.from_numpy(mel[None]), "length": torch.tensor([8])}
    two = {"audio": torch.from_numpy(mel.reshape(1, 4, 80)), "length": torch.tensor([4])}
    wanted = target(mel, [0] * 8, silent=False)
    assert spectra(one, wanted, 0).item() == pytest.approx(spectra(two, wanted, 0).item()) == pytest.approx(0.001)
    from myoflow.dsp.mel import cepstrum

    cut = {"audio": torch.from_numpy(cepstrum(mel, 26).astype(np.float32)[None]), "length": torch.tensor([8])}
    assert spectra(cut, wanted, 0).item() == pytest.approx(0.001, abs=1e-4)


def test_without_sound_the_loss_is_zero_and_has_a_gradient():
    audio = torch.randn(1, 5, 3, requires_grad=True)
    empty = target(np.empty((0, 3), np.float32), [], silent=False)
    loss = spectra({"audio": audio, "length": torch.tensor([5])}, empty, 0.5)
    loss.backward()
    assert loss.item() == 0 and audio.grad is not None


def test_ctc_sees_only_its_own_frames_and_counts_impossible_texts_as_zero():
    logits = torch.randn(2, 9, 4)
    texts = torch.tensor([[0, 1, 1], [2, 0, 0]])
    wanted = {"text": texts, "text_length": torch.tensor([3, 1])}
    output = {"text": logits, "length": torch.tensor([9, 6])}
    both = characters(output, wanted).item()
    alone = []
    for row, (frames, letters) in enumerate(((9, 3), (6, 1))):
        logp = torch.log_softmax(logits[row : row + 1, :frames], -1).transpose(0, 1)
        loss = torch.nn.functional.ctc_loss(
            logp, texts[row : row + 1, :letters], torch.tensor([frames]), torch.tensor([letters]), blank=3
        )
        alone.append(loss.item())
    assert both == pytest.approx(np.mean(alone), rel=1e-5)
    short = {"text": logits[:1, :2], "length": torch.tensor([2])}
    assert characters(short, {"text": texts[:1], "text_length": torch.tensor([3])}).item() == 0


def test_the_curve_counts_characters_of_the_best_path():
    path = np.array([3, 0, 0, 3, 1, 1, 3, 1])
    assert collapsed(path, 3) == [0, 1, 1]
    logits = torch.nn.functional.one_hot(torch.from_numpy(path)[None], 4).float()
    wanted = {"text": torch.tensor([[0, 1, 2]]), "text_length": torch.tensor([3])}
    assert right(logits, wanted, torch.tensor([8])).item() == pytest.approx(2 / 3)
