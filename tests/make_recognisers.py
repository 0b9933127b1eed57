"""Makes small recognisers in the files of published ones, which have learned to tell a low tone from a high one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

RATE_HZ = 16_000
LOW_HZ, HIGH_HZ = 300.0, 2000.0


def tone(hz: float, seconds: float, rng: np.random.Generator, rate_hz: float = RATE_HZ) -> np.ndarray:
    """Sound `(time,)` of that pitch, a little noisy."""
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    return (0.3 * np.sin(2 * np.pi * hz * t + rng.uniform(0, 6)) + 0.01 * rng.standard_normal(len(t))).astype(
        np.float32
    )


def make_whisper(folder: Path, steps: int = 60) -> None:
    """Says ` Ten thirty!` of a low tone and ` 10:30 p.m.` of a high one; hears two seconds at once."""
    import torch
    from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration, WhisperProcessor

    torch.manual_seed(0)
    tokenizer = _whisper_words(folder)
    special = {name: tokenizer.convert_tokens_to_ids(name) for name in _SPECIAL}
    end, start = special["<|endoftext|>"], special["<|startoftranscript|>"]
    config = WhisperConfig(
        vocab_size=len(tokenizer), num_mel_bins=80, max_source_positions=100, max_target_positions=40, d_model=32,
        encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=64,
        decoder_ffn_dim=64, dropout=0.0, pad_token_id=end, bos_token_id=end, eos_token_id=end,
        decoder_start_token_id=start, suppress_tokens=[], begin_suppress_tokens=[],
    )  # fmt: skip
    model = WhisperForConditionalGeneration(config)
    processor = WhisperProcessor(WhisperFeatureExtractor(chunk_length=2), tokenizer)
    heads = [start, special["<|en|>"], special["<|transcribe|>"], special["<|notimestamps|>"]]
    said = [
        [*heads, *tokenizer.encode(text, add_special_tokens=False), end] for text in (" Ten thirty!", " 10:30 p.m.")
    ]
    longest = max(map(len, said))
    tokens = torch.tensor([row + [end] * (longest - len(row)) for row in said])
    wanted = torch.tensor([row[1:] + [-100] * (longest - len(row)) for row in said])
    rng = np.random.default_rng(0)
    steer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(steps):
        sounds = [tone(hz, float(rng.uniform(0.5, 2.0)), rng) for hz in (LOW_HZ, HIGH_HZ)]
        given = processor(sounds, sampling_rate=RATE_HZ, return_tensors="pt").input_features
        logits = model(given, decoder_input_ids=tokens[:, :-1]).logits
        loss = torch.nn.functional.cross_entropy(logits.transpose(1, 2), wanted)
        steer.zero_grad()
        loss.backward()
        steer.step()
    told = model.generation_config
    told.is_multilingual, told.no_timestamps_token_id = True, special["<|notimestamps|>"]
    told.lang_to_id, told.task_to_id = {"<|en|>": special["<|en|>"]}, {"transcribe": special["<|transcribe|>"]}
    told.max_length, told.forced_decoder_ids = 40, None
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


_SPECIAL = (
    "<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|translate|>", "<|transcribe|>", "<|startoflm|>",
    "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>",
)  # fmt: skip


def _whisper_words(folder: Path) -> Any:
    """A tokenizer of single bytes in the files of Whisper's."""
    from transformers import WhisperTokenizer
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {letter: number for number, letter in enumerate(bytes_to_unicode().values())}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = WhisperTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
    tokenizer.add_special_tokens({"additional_special_tokens": list(_SPECIAL)})
    return tokenizer


def make_wav2vec2(folder: Path, steps: int = 80, *, text: bool = True) -> None:
    """Says `I` while a tone is low, `A` while it is high, a blank in between; without `text` it has no last layer."""
    import torch
    from transformers import (
        Wav2Vec2Config,
        Wav2Vec2CTCTokenizer,
        Wav2Vec2FeatureExtractor,
        Wav2Vec2ForCTC,
        Wav2Vec2Model,
        Wav2Vec2Processor,
    )

    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    letters = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ'"]
    (folder / "vocab.json").write_text(json.dumps({letter: n for n, letter in enumerate(letters)}))
    tokenizer = Wav2Vec2CTCTokenizer(str(folder / "vocab.json"))
    processor = Wav2Vec2Processor(Wav2Vec2FeatureExtractor(do_normalize=True), tokenizer)
    config = Wav2Vec2Config(
        vocab_size=len(letters), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
        conv_dim=(16, 16, 16), conv_stride=(5, 8, 8), conv_kernel=(10, 8, 8), num_feat_extract_layers=3,
        num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=2, hidden_dropout=0.0, attention_dropout=0.0,
        activation_dropout=0.0, feat_proj_dropout=0.0, final_dropout=0.0, layerdrop=0.0, mask_time_prob=0.0,
        apply_spec_augment=False, ctc_loss_reduction="mean",
    )  # fmt: skip
    if not text:
        Wav2Vec2Model(config).save_pretrained(folder)
        processor.save_pretrained(folder)
        return
    model = Wav2Vec2ForCTC(config)
    rng = np.random.default_rng(0)
    steer = torch.optim.Adam(model.parameters(), 5e-3)
    letter = {LOW_HZ: letters.index("I"), HIGH_HZ: letters.index("A"), 0.0: letters.index("|")}
    for _ in range(steps):
        order = rng.permutation([LOW_HZ, 0.0, HIGH_HZ, 0.0])
        sound = np.concatenate([tone(hz, 0.3, rng) for hz in order])
        logits = model(**processor(sound, sampling_rate=RATE_HZ, return_tensors="pt")).logits[0]
        part = (np.arange(len(logits)) + 0.5) * len(order) / len(logits)
        wanted = torch.tensor([letter[order[int(k)]] for k in part])
        loss = torch.nn.functional.cross_entropy(logits, wanted)
        steer.zero_grad()
        loss.backward()
        steer.step()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
