"""unibo_mat: the UniBo-INAIL set, one .mat file per user, day and arm posture."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from attrs import field

from myoflow.errors import InputError
from myoflow.readers.base import READERS, Item, Reader, Subject, bids_attributes, sha256
from myoflow.readers.matlab import load
from myoflow.readers.source import File, Source
from myoflow.readers.spans import spans
from myoflow.recording import Recording
from myoflow.typed import frozen

if TYPE_CHECKING:
    from myoflow.card import Card

_FILE = re.compile(r"(?:^|/)user_(\d{1,3})_day_(\d{1,2})_posture_(\d{1,2})\.mat$", re.IGNORECASE)


@frozen
class Options:
    """`labels` chooses the labelling: `relabel` (refined by the authors) or `label` (as shown to the user).

    `attributes` are added to every recording as they are; use BIDS-EMG's names.
    """

    labels: Literal["relabel", "label"] = "relabel"
    attributes: dict[str, Any] = field(factory=dict)


@READERS.add("unibo_mat")
class UniboMat(Reader):
    """Every sample in single precision, as published, with events that cover all of it: rest is a class.

    A session is a day, a run is a posture.
    """

    Options = Options

    def recordings(self, source: Source | None, wanted: Subject | None = None) -> Iterator[Item]:
        assert source is not None, "needs_source"
        found: dict[tuple[str, str, str], str] = {}
        for name in source.names:
            match = _FILE.search(name)
            if match is None:
                continue
            key = (match[1].zfill(2), match[2].zfill(2), str(int(match[3])))
            if key in found:
                raise InputError(f"{source.place} has two files for one recording: {found[key]} and {name}")
            found[key] = name
        if not found:
            raise InputError(
                f"{source.place}: expected files such as user_1_day_1_posture_1.mat; found {source.brief()}"
            )
        for (subject, session, run), name in sorted(found.items()):
            if wanted is None or wanted(subject):
                yield Item(
                    id=f"sub-{subject}/ses-{session}/run-{run}",
                    parse=partial(_recording, self.card, self.options, subject, session, run),
                    names=(name,),
                    source=source,
                )


def _recording(
    card: Card, options: Options, subject: str, session: str, run: str, files: tuple[File, ...]
) -> Recording:
    (file,) = files
    data = file.read()
    mat = load(file, data, {"emg", options.labels, "gestureCounter"})
    emg = mat.matrix("emg", len(card.channels))
    label = mat.column(options.labels, len(card.labels))
    repetition = mat.column("gestureCounter")
    for name, column in ((options.labels, label), ("gestureCounter", repetition)):
        if len(column) != len(emg):
            raise InputError(f"{mat.where}: variable {name} has {len(column):,} rows, but emg has {len(emg):,}")
    if (label == 0).any():
        row = int(np.argmin(label))
        raise InputError(f"{mat.where}: variable {options.labels} row {row + 1} is 0; labels count from 1 (rest)")
    values = np.ascontiguousarray(emg.T.astype(np.float32))
    if not np.isfinite(values).all():
        channel, row = (int(i) for i in np.argwhere(~np.isfinite(values))[0])
        raise InputError(f"{mat.where}: variable emg row {row + 1} column {channel + 1} is not a finite number")
    return Recording(
        subject=subject,
        session=session,
        run=run,
        emg=values,
        gain=np.ones(len(values), np.float32),
        rate_hz=card.rate,
        channels=card.channels,
        events=spans(label - 1, repetition, card.labels),
        units=card.units,
        attrs=bids_attributes(card) | options.attributes,
        sources=((file.name.split("/")[-1], sha256(data)),),
        repairs=() if np.array_equal(values.T, emg) else ("emg rounded from double to single precision",),
    )
