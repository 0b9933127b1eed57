"""Settings: the sections `data` and `train` of a recipe as frozen objects."""

from __future__ import annotations

from typing import Any, Literal

import attrs
from attrs.validators import and_, ge, gt, le, lt, optional

from myoflow.errors import did_you_mean
from myoflow.split import Item, Split
from myoflow.task import TASKS, Task
from myoflow.typed import Hz, Mismatch, frozen

DEFAULT_TASK = "classify"


def _all(*limits: Any, null: bool = False) -> Any:
    """Validator of a number within all limits. Typed loosely: attrs' validators are invariant in their type."""
    return optional(and_(*limits)) if null else and_(*limits)


@frozen
class Also:
    """A further store that goes through the same pipeline, for tasks that learn without labels.

    `dataset` names its card (default: the name that it stands under), `store` a folder of its own. `split` says what
    of it trains, validates and tests; without one all of it trains. `channels` keeps only these, in this order.
    `regularise` puts a recording with uneven time stamps on an even grid of that rate by holding values. `every` keeps
    each n-th sample without a filter, to be like a store whose samples were thinned out so.
    """

    dataset: str | None = None
    split: Split | None = None
    store: str | None = None
    channels: tuple[str, ...] | None = None
    regularise: Hz | None = None
    every: int = attrs.field(default=1, validator=ge(1))


@frozen
class Data:
    """What a recipe learns from.

    `dataset` names a card of the library, `store` a folder of its own (default: beside the other stores). `raw` is the
    folder or archive of its raw files, which are converted first, where that has not been done. `split` may
    be the name of one of the card's splits. `labels`
    keeps only these classes, in this order; default all of the card but its unmarked one. `regularise` puts a
    recording with uneven time stamps on an even grid of that rate by holding values. `splice` drops unlabelled
    samples before any stage, as some published scripts do; filters then ring at every seam. `channels` keeps only
    these channels, in this order; `every` each n-th sample, without a filter.

    `target` names a stream beside the EMG to learn, such as `kinematics`; `target_channels` keeps only these of it, in
    this order; `target_rate` reads it at that rate by linear interpolation, default its own.

    `only` leaves out all recordings but those whose `subject`, `session`, `subset` or other attribute (`mode` of
    speech) is one of these: `only: {subject: ["002"], mode: [audible, silent]}`.

    `share` trains on that share of each label's executions (one at least), drawn by `share_seed`, a smaller share a
    part of a larger one; what is learnt without labels (statistics of signal stages) still sees all. `also` adds
    stores, each under a name, which the subjects in the report bear before their own.
    """

    dataset: str
    split: Split
    store: str | None = None
    raw: str | None = None
    labels: tuple[str, ...] | None = None
    regularise: Hz | None = None
    splice: bool = False
    channels: tuple[str, ...] | None = None
    every: int = attrs.field(default=1, validator=ge(1))
    only: dict[str, tuple[Item, ...]] = attrs.Factory(dict)
    share: float = attrs.field(default=1.0, validator=and_(gt(0), le(1)))
    share_seed: int = attrs.field(default=0, validator=ge(0))
    also: dict[str, Also] = attrs.Factory(dict)
    target: str | None = None
    target_channels: tuple[str, ...] | None = None
    target_rate: Hz | None = None

    def __attrs_post_init__(self) -> None:
        if self.labels is not None and len(self.labels) < 2:
            raise Mismatch("takes two labels or more", ("labels",))
        for i, label in enumerate(self.labels or ()):
            if label in (self.labels or ())[:i]:
                raise Mismatch(f"names '{label}' twice", ("labels", i))
        for name, values in self.only.items():
            if not values:
                raise Mismatch("is empty; name what to keep, or leave it out", ("only", name))
        for name in ("regularise", "target_rate"):
            rate = getattr(self, name)
            if rate is not None and not rate > 0:
                raise Mismatch(f"must be above zero, got {rate:g} Hz", (name,))
        for name in ("target_channels", "target_rate"):
            if getattr(self, name) is not None and self.target is None:
                raise Mismatch("needs `target`, the stream that it is about", (name,))


@frozen
class Train:
    """How the learned stages are trained: AdamW, linear warm-up and cosine decay by step.

    `task` says what is learned; in YAML its own fields stand beside these, in Python `Train(task=Classify(...))`.
    `warmup` is a share of all steps. `batch` windows are one step on a device, `accumulate` batches one update.
    `clip` limits the gradient's norm. `patience` stops after so many epochs without a better validation loss.
    `mixup` is the alpha of its Beta distribution, 0 for none; `ema` the decay of averaged weights. Each of `seeds`
    trains one model. `start` is a run (or its weights) of the same stages, whose whole network, heads and all, training
    goes on from. Defaults are TinyMyo's fine-tuning (arXiv 2512.15729).
    """

    task: Task = attrs.field(
        factory=lambda: TASKS[DEFAULT_TASK](), converter=lambda given: _made(given), metadata={"internal": True}
    )
    epochs: int = attrs.field(default=50, validator=ge(1))
    lr: float = attrs.field(default=5e-4, validator=gt(0))
    batch: int = attrs.field(default=32, validator=ge(1))
    accumulate: int = attrs.field(default=1, validator=ge(1))
    weight_decay: float = attrs.field(default=0.01, validator=ge(0))
    betas: tuple[float, float] = (0.9, 0.98)
    warmup: float = attrs.field(default=0.1, validator=_all(ge(0), lt(1)))
    min_lr: float = attrs.field(default=1e-5, validator=ge(0))
    clip: float | None = attrs.field(default=1.0, validator=_all(gt(0), null=True))
    patience: int | None = attrs.field(default=None, validator=optional(ge(1)))
    mixup: float = attrs.field(default=0.0, validator=ge(0))
    ema: float | None = attrs.field(default=None, validator=_all(gt(0), lt(1), null=True))
    precision: Literal["float32", "bf16"] = "float32"
    seeds: tuple[int, ...] = (0,)
    start: str | None = None

    def __attrs_post_init__(self) -> None:
        for i, beta in enumerate(self.betas):
            if not 0 <= beta < 1:
                raise Mismatch(f"must be from 0 to below 1, got {beta}", ("betas", i))
        if self.min_lr > self.lr:
            raise Mismatch(f"must not be above lr ({self.lr}), got {self.min_lr}", ("min_lr",))
        if not self.seeds:
            raise Mismatch("is empty; give at least one", ("seeds",))
        for i, seed in enumerate(self.seeds):
            if not 0 <= seed < 2**32:
                raise Mismatch(f"must be from 0 to below 2^32, got {seed}", ("seeds", i))
            if seed in self.seeds[:i]:
                raise Mismatch(f"names {seed} twice", ("seeds", i))


@frozen
class Calibrate:
    """How `run --calibrate SUBJECT` moves a trained network towards a person whom it has not seen.

    It learns from the first `repetitions` executions of every label, and is asked about all others. `adapt` says what
    learns: `full`: everything; `frozen`: only what stands behind the encoder; `lora`: that, and thin products of `rank`
    beside the encoder's matrices, which are put into them afterwards. `epochs`, `lr` and `batch` are this training's
    own; the rest is as in `train`. Statistics that were learned from the training people stay.
    """

    repetitions: int = attrs.field(default=1, validator=ge(1))
    adapt: Literal["full", "frozen", "lora"] = "lora"
    rank: int = attrs.field(default=8, validator=ge(1))
    epochs: int = attrs.field(default=30, validator=ge(1))
    lr: float = attrs.field(default=3e-3, validator=gt(0))
    batch: int = attrs.field(default=32, validator=ge(1))


def _made(given: Task | str) -> Task:
    """A task as it is, or by its name with its fields' defaults."""
    if isinstance(given, Task):
        return given
    if not isinstance(given, str) or given not in TASKS:
        raise Mismatch(no_task(given), ("task",))
    return TASKS[given]()


def no_task(name: Any) -> str:
    close = did_you_mean(str(name), TASKS) or "."
    return f"there is no task '{name}'{close} Tasks: {', '.join(TASKS)}"
