"""Model: released or own weights as one torch module, from a signal to what the head gives."""

from __future__ import annotations

from numbers import Integral
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from myoflow import tensors
from myoflow.errors import InputError
from myoflow.nn.encoder import Classifier, Encoder, Patches, Positions
from myoflow.nn.masking import Decoder
from myoflow.nn.published import Channels, Released, channels_fit, fill, fit_channels, pad_channels, understand
from myoflow.nn.trajectory import ScaledTrajectory, Trajectory

HEAD_WIDTH = 64  # features of a head in the published network: width 192 has 3


class Model(nn.Module):
    """`(batch, channel, time)` -> the head's output.

    Reconstruction gives `(batch, token, patch samples)`, tokens channel-major, and takes `mask`; classification logits
    `(batch, label)`; regression `(batch, time, output)`; without a head tokens `(batch, channel, patch, width)`.
    """

    def __init__(
        self, encoder: Encoder, head: nn.Module | None, *, channels: int, patch: int, rule: Channels, samples: int
    ) -> None:
        super().__init__()
        self.patches = Patches(patch)
        self.encoder = encoder
        self.head = head
        self.channels = channels
        self.rule = rule
        self.samples = samples

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """`mask` `(batch, channel, time)` or `(batch, channel, patch)` is True where the signal is hidden.

        Raises:
            InputError: a signal of another shape or type than the model was loaded for, or a mask that is not of bools.
        """
        if not isinstance(x, Tensor) or (mask is not None and not isinstance(mask, Tensor)):
            raise InputError(f"this model takes torch tensors, got {type(x).__name__}: torch.as_tensor(x) makes one")
        if x.ndim != 3 or tuple(x.shape[1:]) != (self.channels, self.samples):
            raise InputError(
                f"this model takes (batch, {self.channels} channels, {self.samples} samples), got {tuple(x.shape)}"
            )
        kind = self.encoder.embed.weight.dtype
        if x.dtype != kind:
            raise InputError(f"this model takes {kind}, got {x.dtype}: x.to({kind}) makes it so")
        present = None
        places = self.encoder.grid[0]
        if self.rule == "subset":
            x, mask = x[:, :places], mask if mask is None else mask[:, :places]
        elif places > self.channels:
            present = torch.arange(places, device=x.device).expand(len(x), -1) < self.channels
            x = pad_channels(x, places)
            mask = mask if mask is None else pad_channels(mask, places)
        hidden = None if mask is None else self._hidden(mask)
        tokens: Tensor = self.encoder(self.patches(x), hidden, present)
        if present is not None:
            tokens = tokens * present[..., None, None]  # what stands on no electrode says nothing to the head
        if self.head is None:
            return tokens[:, : self.channels]
        out: Tensor = self.head(tokens)
        return out[:, : self.channels].flatten(1, 2) if isinstance(self.head, Decoder) else out

    def _hidden(self, mask: Tensor) -> Tensor:
        if mask.shape[-1] == self.samples:
            mask = self.patches.cut(mask)[..., 0]
        if tuple(mask.shape[1:]) != self.encoder.grid:
            raise InputError(f"the mask {tuple(mask.shape)} fits neither samples nor patches of {self.encoder.grid}")
        if mask.dtype != torch.bool:
            raise InputError(f"a mask is of bools, True where the signal is hidden; this one holds {mask.dtype}")
        return mask


def load_model(
    path: str | Path,
    *,
    channels: int,
    samples: int,
    positions: Positions = "rotary",
    rule: Channels = "exact",
    heads: int | None = None,
    head: Literal["reconstruct", "classify", "regress", "none"] | None = None,
    allow_unused: tuple[str, ...] = (),
    allow_missing: tuple[str, ...] = (),
    steps: int | None = None,
) -> Model:
    """Weights as a torch module in eval mode: our runs', the published ones' or braindecode's.

    Nothing in the file is executed. Sizes are read off the tensors; the number of attention heads cannot be: it is what
    a run or an exported folder says of itself, else one per 64 features unless given. `positions="none"` computes what
    the published code computes. `head` chooses where a file has several. `rule` says what happens when the weights were
    made for another number of channels: `exact` refuses, `pad` adds silent electrodes that nobody attends to, `subset`
    takes the first channels of the signal, `interpolate` (without a head that counts channels) places the channels
    evenly on the weights' ring.
    `steps` are those that a regression gives for a window: what an exported folder says of itself, of the published
    weights one a sample.
    `allow_unused`, `allow_missing`: names or patterns of tensors that may stay unread, or keep fresh values (such as
    `channel_embed` of rotary positions, which old files do not hold).

    Raises:
        InputError: the file is unreadable, refused or does not fit, every tensor at fault is named; or an argument is
            none of those above.
    """
    counts = {name: 1 if given is None else given for name, given in (("heads", heads), ("steps", steps))}
    _check(path, channels=channels, samples=samples, **counts)
    _choose(positions=(positions, get_args(Positions)), rule=(rule, get_args(Channels)), head=(head, (*HEADS, None)))
    released = understand(tensors.read(path), str(path))
    patch, width = released.patch, released.width
    if samples % patch:
        raise InputError(f"{path} has patches of {patch} samples, which do not divide {samples}")
    changed = "channel_embed" in {*allow_unused, *allow_missing}  # positions are, on purpose
    heads = _heads(path, width, heads, None if changed else positions)
    chosen = _head_name(released, head)
    places = _places(released, channels, rule, chosen)
    encoder = Encoder(
        channels=places,
        patches=samples // patch,
        features=patch,
        width=width,
        layers=released.layers,
        heads=heads,
        mlp=_ratio(released),
        positions=positions,
    )
    known = dict(released.encoder)
    if "channel_embed" in known and encoder.channel_embed is not None and known["channel_embed"].shape[1] != places:
        known["channel_embed"] = fit_channels(known["channel_embed"], places, rule, str(path))
    unread = () if chosen == "reconstruct" else ("mask_token",)  # only needed where something is hidden
    fill(encoder, known, str(path), unused=allow_unused, missing=(*allow_missing, *unread))
    module = _head(released, chosen, samples, steps or tensors.output_steps(path))
    if module is not None:
        fill(module, _of_head(released, chosen), str(path), unused=allow_unused, missing=allow_missing)
    return Model(encoder, module, channels=channels, patch=patch, rule=rule, samples=samples).eval()


def _heads(path: str | Path, width: int, asked: int | None, positions: str | None) -> int:
    """How many attention heads there are. Raises InputError where weights are known to be of something else."""
    told = tensors.encoder_settings(path)
    if (behind := told.get("behind")) not in (None, "patch"):
        raise InputError(f"{path} has an encoder of what {behind} gives, not of samples; mf.load_run has all of it")
    heads: int = told.get("heads", max(1, width // HEAD_WIDTH)) if asked is None else asked
    if positions is not None:
        tensors.agree(path, heads, positions)
    if width % heads or (positions in ("rotary", "flat") and width // heads % 2):
        even = " evenly in pairs" if width % heads == 0 else ""
        raise InputError(f"{path} is {width} wide, which cannot be shared{even} by {heads} heads; give heads=")
    return heads


def _check(path: object, **counts: object) -> None:
    """Raise InputError unless the path is one, and every count a whole number above zero."""
    if not isinstance(path, (str, Path)):
        raise InputError(f"path is where weights are, a text or a Path; got {type(path).__name__}")
    for name, value in counts.items():
        if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
            raise InputError(f"{name} must be a whole number above zero, got {value!r}")


def _choose(**arguments: tuple[object, tuple[str | None, ...]]) -> None:
    """Raise InputError unless each argument is one of its words."""
    for name, (given, words) in arguments.items():
        if given not in words:
            raise InputError(f"{name} is one of {', '.join(word for word in words if word)}, got {given!r}")


HEADS = {"reconstruct": "decoder_pred", "classify": "classifier", "regress": "regressor", "none": ""}


def _head_name(released: Released, asked: str | None) -> str:
    there = sorted({name.split(".")[0] for name in released.head})
    words = {tensor: word for word, tensor in HEADS.items()}
    if asked is None:
        if len(there) > 1:
            raise InputError(f"{released.source} holds several heads: {', '.join(there)}; choose one with head=")
        return words[there[0]] if there else "none"
    if asked != "none" and HEADS[asked] not in there:
        raise InputError(f"{released.source} has no head {HEADS[asked]}; it has {', '.join(there) or 'none'}")
    return asked


def _ratio(released: Released) -> int:
    hidden = released.encoder.get("blocks.0.mlp.fc1.weight")
    return 4 if hidden is None else hidden.shape[0] // released.width


def _places(released: Released, channels: int, rule: Channels, head: str) -> int:
    """Channels that the encoder computes with."""
    known = released.channels
    if known is None:
        return channels
    channels_fit(channels, known, rule, released.source)
    if rule == "interpolate" and channels != known:
        if head in ("classify", "regress"):
            raise InputError(
                f"{released.source} has a head for {known} channels, which cannot be interpolated to {channels}; "
                "load it with head='none', or choose rule='pad' or 'subset'"
            )
        return channels
    return known


def _of_head(released: Released, name: str) -> dict[str, Tensor]:
    """A head's tensors, as its module calls them."""
    scaled = {f"regressor.{part}": part for part in ("centre", "spread")}
    return {scaled.get(n, n): tensor for n, tensor in released.head.items() if n.split(".")[0] == HEADS[name]}


def _head(released: Released, name: str, samples: int, steps: int | None) -> nn.Module | None:
    """An empty head of the sizes that the weights have. Raises InputError: they lack one that tells."""
    width = released.width
    if name == "reconstruct":
        return Decoder(width, released.sizes("decoder_pred.weight", 2)[0])
    if name == "classify":
        labels, inputs = released.sizes("classifier.weight", 2)
        return Classifier(inputs, labels, concat=inputs != width)
    if name != "regress":
        return None
    (hidden, inputs, _), (outputs, *_) = (released.sizes(f"regressor.{part}.weight", 3) for part in (0, 5))
    if "regressor.spread" not in released.head:
        return Trajectory(inputs, outputs, steps or samples, hidden=hidden)
    if steps is None:
        raise InputError(
            f"{released.source} does not say how many steps its answers have for a window; give steps=, or load the "
            "folder that `myoflow export --safetensors` makes of the run"
        )
    return ScaledTrajectory(inputs, outputs, steps, hidden=hidden)
