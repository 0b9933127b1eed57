"""select: some of the channels, in the order given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from myoflow.errors import PlanError, did_you_mean
from myoflow.spec import SIGNAL, WINDOWS, Spec
from myoflow.stage import Stage, State, stage
from myoflow.typed import frozen

if TYPE_CHECKING:
    from myoflow.dsp.kernel import Kernel


@stage("select")
@frozen
class Select(Stage):
    """Keep `channels`, in that order: names, or numbers counted from 1."""

    channels: tuple[int | str, ...]

    def plan(self, spec: Spec) -> Spec:
        spec.expect(SIGNAL, WINDOWS)
        return spec.with_channels(tuple(spec.channels[i] for i in self._indices(spec)))

    def _indices(self, spec: Spec) -> list[int]:
        names = spec.channels
        if not self.channels:
            raise PlanError("needs at least one channel", field="channels")
        found: list[int] = []
        for wanted in self.channels:
            if isinstance(wanted, int):
                if not 1 <= wanted <= len(names):
                    raise PlanError(f"has no channel {wanted}; there are 1 to {len(names)}", field="channels")
                index = wanted - 1
            elif wanted in names:
                index = names.index(wanted)
            else:
                raise PlanError(
                    f"has no channel '{wanted}'{did_you_mean(wanted, names) or ';'} channels: {', '.join(names)}",
                    field="channels",
                )
            if index in found:
                raise PlanError(f"names channel {names[index]} twice", field="channels")
            found.append(index)
        return found

    def kernel(self, spec: Spec, state: State | None = None) -> Kernel:
        from myoflow.dsp.kernel import Mapped

        indices = self._indices(spec)
        after = self.plan(spec)
        empty = tuple(0 if size is None else size for size in after.sizes)
        return Mapped(lambda x: x[..., indices, :], empty, axis=after.open_axis)
