"""starter: the card that `myoflow new dataset` writes, for a laboratory's own files."""

from __future__ import annotations

import re
from pathlib import Path

from myoflow.errors import InputError
from myoflow.files import write_text

CARD = """\
# {name}: one line that `myoflow list datasets` shows.   Make the store:
#   myoflow convert {name} FOLDER data/{name}.zarr
name: {name}
title: "{name}: what was done, by how many people, with which device"
reader: files # one recording a file; `myoflow list formats` shows what it opens. For BIDS-EMG folders: bids_emg
citation: "" # how to name it in a paper
licence: "" # such as CC BY 4.0
restrictions: "" # what the licence or the consent of the subjects forbids
home: "" # where it can be had
files: the folder with S01, S02, ... # what to give to `myoflow convert`
subjects: null # how many there are; conversion says how many are missing
channels: [flexor, extensor] # your names, in the order of options.channels
placement: "" # muscle, side, distance between electrodes
units: V # of the store; files in mV or uV are converted
rate: 2000 Hz # the true rate; a file that says another is refused
rate_note: "" # how you know it
power_line: 50 Hz # or 60 Hz
labels: [unmarked, rest, fist] # their order is their number in the store
unmarked: unmarked # samples that nobody labelled; no class to learn
options:
  # Found in each file's path, up to its end. (?P<name>...) takes a part of the path; use it below as {{name}}.
  pattern: S(?P<subject>\\d+)/day(?P<day>\\d+)/(?P<gesture>[a-z]+)_(?P<take>\\d+)\\.csv
  subject: "{{subject}}"
  session: "{{day}}"
  run: "{{gesture}}{{take}}"
  # format: csv                # where the ending does not say enough
  channels: [EMG 1, EMG 2] # what the files call them
  # streams: {{force: [Force]}}  # other columns to keep beside the EMG
  units: mV # what the numbers are in where a file does not say
  # gain: 0.001                # a factor, where an amplifier's gain is still in the numbers
  # rate: card                 # believe this card's rate against the files'
  # missing: hold              # repeat the last value where a number is missing
  labels_from: path # or: events (of the file), column, none
  label: "{{gesture}}"
  repetition: "{{take}}"
  # labels_from: column
  # label_column: stimulus
  labels: {{pause: rest}} # the files' words, and which label of the card each is
defects: [] # what a user of the data must know
splits:
  strict: {{by: subject, train: ["1..6"], valid: [7], test: [8]}}
"""


def write_card(name: str, folder: Path | None = None) -> Path:
    """Write `datasets/<name>.yaml` below `folder` (default: here), commented, to be filled in.

    Raises:
        InputError: not a name, or there is such a card.
    """
    from myoflow.library import names

    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise InputError(f"'{name}' is no name for a dataset: small letters, digits and _, a letter first")
    path = (folder or Path()) / "datasets" / f"{name}.yaml"
    if path.exists() or name in names("datasets"):
        raise InputError(f"there is a dataset '{name}' already; give another name")
    write_text(path, CARD.format(name=name))
    return path
