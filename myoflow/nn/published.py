"""Published: tensor names of released TinyMyo weights in our words, and filling a module with them.

Three spellings are known: the authors' (Lightning checkpoint or safetensors, prefix `model.`), braindecode's (no
prefix, the patch projection a linear layer, the head `final_layer`) and our runs' (`weight.tinymyo....`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Literal

import torch
import torch.nn.functional as F
from attrs import frozen
from torch import Tensor, nn

from myoflow.errors import InputError
from myoflow.nn.adapt import merged_weights

Channels = Literal["exact", "pad", "interpolate", "subset"]

HEADS = ("decoder_pred", "classifier", "regressor")
_PROJECTION = re.compile(r"patch_embed(?:ding)?(?:\.\w+)*\.(weight|bias)")
_FINAL = re.compile(r"final_layer(?:\.\w+)*\.(weight|bias)")


@frozen(eq=False)
class Released:
    """Tensors under our names: of the encoder (`embed.weight`, `blocks.0...`) and of the head (`classifier.weight`).

    `source` is what they are called in errors.
    """

    encoder: Mapping[str, Tensor]
    head: Mapping[str, Tensor]
    source: str

    @property
    def layers(self) -> int:
        """How many blocks the encoder has. Raises InputError where their numbers are not 0, 1, 2, ..."""
        numbers = {name.split(".")[1] for name in self.encoder if name.startswith("blocks.")}
        if numbers != {str(number) for number in range(len(numbers))}:
            raise InputError(f"{self.source} has blocks {_listed(sorted(numbers))}, which are not 0, 1, 2, ...")
        return len(numbers)

    @property
    def width(self) -> int:
        """Features of a token. Raises InputError when there is no encoder in the file."""
        return self.sizes("embed.weight")[0]

    @property
    def patch(self) -> int:
        """Samples of a patch. Raises InputError when there is no encoder in the file."""
        return self.sizes("embed.weight")[1]

    @property
    def channels(self) -> int | None:
        """How many channels the weights know, by their channel embedding or the input of their head; else None, as
        where a head takes the mean over channels."""
        if "channel_embed" in self.encoder:
            return self.sizes("channel_embed", 4)[1]
        if "classifier.weight" in self.head:
            inputs = self.sizes("classifier.weight", 2)[1]
            return None if inputs == self.width else inputs // self.width
        return self.sizes("regressor.0.weight", 3)[1] // self.width if "regressor.0.weight" in self.head else None

    def sizes(self, name: str, axes: int = 2) -> tuple[int, ...]:
        """The shape of a tensor. Raises InputError where it is not there, or has another number of axes."""
        known = {**self.encoder, **self.head}
        if name not in known:
            found = ", ".join(sorted(known)[:5])
            what = "head of that kind" if name.split(".")[0] in HEADS else "TinyMyo encoder"
            raise InputError(f"{self.source} holds no {what}: there is no {name}, but {found}")
        shape = tuple(known[name].shape)
        if len(shape) != axes or 0 in shape:
            raise InputError(f"{self.source}: {name} has the shape {shape}, where {axes} axes are expected, none empty")
        return shape


def understand(tensors: Mapping[str, Tensor], source: str) -> Released:
    """Sort a file's tensors into encoder and head, under our names; what `adapt: lora` learned goes into its matrices.

    Raises:
        InputError: two tensors that mean the same one.
    """
    encoder: dict[str, Tensor] = {}
    head: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        place, known = _place(name)
        group = head if place == "head" else encoder
        if place == "other":
            continue  # statistics of the signal stages of our runs
        if known in group:
            raise InputError(f"{source} holds {known} twice, once as {name}")
        if known == "embed.weight" and tensor.ndim == 4:  # a convolution over (1, patch) of one input channel
            if tuple(tensor.shape[1:3]) != (1, 1):
                raise InputError(
                    f"{source}: {name} has the shape {tuple(tensor.shape)}, a convolution over several channels; "
                    "TinyMyo's has (width, 1, 1, patch)"
                )
            tensor = tensor.flatten(1)
        group[known] = tensor.float() if tensor.is_floating_point() else tensor
    return Released(merged_weights(encoder), head, source)


def _place(name: str) -> tuple[str, str]:
    """`encoder` or `head`, and our name."""
    if name.startswith("state."):
        return "other", name
    for prefix in ("weight.", "module.", "_orig_mod.", "model."):
        name = name.removeprefix(prefix)
    stage, _, rest = name.partition(".")
    if stage == "tinymyo":
        return "encoder", rest
    if stage in ("regress", "model_head") and rest in ("centre", "spread"):  # what our head's outputs are scaled by
        return "head", f"regressor.{rest}"
    if rest.split(".")[0] in HEADS:  # `classify.classifier.weight` of ours, `model_head.classifier.weight` of theirs
        return "head", rest
    if stage in HEADS:
        return "head", name
    if found := _FINAL.fullmatch(name):
        return "head", f"classifier.{found[1]}"
    if found := _PROJECTION.fullmatch(name):
        return "encoder", f"embed.{found[1]}"
    return "encoder", name


def fill(
    module: nn.Module, tensors: Mapping[str, Tensor], source: str, *, unused: Iterable[str] = (),
    missing: Iterable[str] = (),
) -> None:  # fmt: skip
    """Copy tensors into a module, every one to its place.

    `unused` and `missing` are names, or patterns such as `blocks.7.*`, that may stay unread, or keep the module's own
    values; a tensor that is named by both is left out even where the shapes differ.

    Raises:
        InputError: other tensors are left over, missing or of another shape; all are named.
    """
    wanted = module.state_dict()
    tensors = {n: t for n, t in tensors.items() if not (_any(n, unused) and _any(n, missing))}
    left = [name for name in tensors if name not in wanted and not _any(name, unused)]
    lacking = [name for name in wanted if name not in tensors and not _any(name, missing)]
    odd = [
        f"{name} is {tuple(tensors[name].shape)}, the network's {tuple(wanted[name].shape)}"
        for name in wanted
        if name in tensors and tensors[name].shape != wanted[name].shape
    ]
    bad = [f"{n}: {reason}" for n, t in tensors.items() if n in wanted and (reason := _no_weight(t, wanted[n]))]
    problems = []
    if bad:
        problems.append(f"no weights: {_listed(bad)}")
    if odd:
        problems.append(f"of another shape: {_listed(odd)}")
    if lacking:
        problems.append(f"missing: {_listed(lacking)} (to keep fresh values there, name them in allow_missing)")
    if left:
        problems.append(f"not used: {_listed(left)} (to leave them out, name them in allow_unused)")
    if problems:
        raise InputError(f"{source} does not fit this network; " + "; ".join(problems))
    module.load_state_dict({**wanted, **{name: tensors[name] for name in wanted if name in tensors}})


def _no_weight(tensor: Tensor, wanted: Tensor) -> str | None:
    """Why a tensor cannot be a weight; None where it can."""
    if wanted.is_floating_point() and not tensor.is_floating_point():
        return f"of type {str(tensor.dtype).removeprefix('torch.')}, not floating-point"
    if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
        return "holds numbers that are not finite"
    return None


def _any(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _listed(names: list[str]) -> str:
    shown = names if len(names) <= 12 else [*names[:10], f"... and {len(names) - 10} more"]
    return ", ".join(shown)


def channels_fit(have: int, known: int, rule: Channels, source: str) -> None:
    """Raise InputError unless `have` channels may meet weights for `known` under the rule."""
    fits = {"exact": have == known, "pad": have <= known, "subset": have >= known, "interpolate": True}
    if not fits[rule]:
        than = "only" if have < known else "as many as"
        other = "pad or interpolate" if have < known else "subset or interpolate"
        raise InputError(
            f"{source} was made for {known} channels, here are {than} {have}, and channels: {rule} does not allow "
            f"that; choose {other}, or give it the same channels"
        )


def fit_channels(embed: Tensor, have: int, rule: Channels, source: str) -> Tensor:
    """A channel embedding `(1, channel, 1, width)` for another number of channels, as the rule says.

    `exact`: there must be as many. `pad`: here are fewer, which take the first places. `subset`: here are more, of
    which the first are used; the embedding stays as it is. `interpolate`: the electrodes stand evenly on a ring, and
    each takes the values between its two neighbours there.

    Raises:
        InputError: the rule does not allow these numbers.
    """
    known = embed.shape[1]
    channels_fit(have, known, rule, source)
    if have == known or rule == "subset":
        return embed
    if rule == "pad":
        return embed[:, :have]
    ring = torch.cat((embed, embed[:, :1]), 1)[0, :, 0].T[None]  # (1, width, channel + 1), closed
    places = torch.linspace(0, known, have + 1)[:-1]
    low = places.floor().long()
    part = places - low
    between = ring[..., low] * (1 - part) + ring[..., low + 1] * part
    return between[0].T[None, :, None]


def pad_channels(x: Tensor, to: int) -> Tensor:
    """`(batch, channel, time)` with silent channels behind the real ones."""
    return F.pad(x, (0, 0, 0, to - x.shape[1]))
