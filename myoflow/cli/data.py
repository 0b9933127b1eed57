"""Verbs on datasets and stores: convert, new, fetch, info, export-bids."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from myoflow.cli.app import Cluster, Jobs, StoreArg, app


@app.command()
def convert(
    dataset: Annotated[str, typer.Argument(help="A dataset's name or card; with --like, a file.")],
    raw: Annotated[Optional[Path], typer.Argument(help="The archive or folder as downloaded.")] = None,  # noqa: UP045
    store: Annotated[Optional[Path], typer.Argument(help="Where the store goes.")] = None,  # noqa: UP045
    jobs: Jobs = None,
    subjects: Annotated[Optional[str], typer.Option(help="Only these, such as 1..6 or 1,4,7.")] = None,  # noqa: UP045
    cluster: Cluster = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out recordings whose files are wrong; the store lists them.")
    ] = False,
    like: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="FORMAT", help="Convert one file without a card: FILE [STORE]; csv, edf, ... or auto."),
    ] = None,
    rate: Annotated[Optional[str], typer.Option(help="With --like: samples per second, such as 2000.")] = None,  # noqa: UP045
    units: Annotated[Optional[str], typer.Option(help="With --like: what the numbers are in, such as uV.")] = None,  # noqa: UP045
    channels: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="With --like: the EMG channels, as the file calls them; a,b,c."),
    ] = None,
    variable: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="With --like: the table or stream of a file that holds several."),
    ] = None,
    hold: Annotated[bool, typer.Option("--hold", help="With --like: missing numbers repeat the last one.")] = False,
) -> None:
    """Turn raw files into one labelled store; continues where it stopped."""
    from myoflow import tables
    from myoflow.data.source import convert_dataset, convert_file, is_simulated
    from myoflow.errors import InputError
    from myoflow.parallel import workers
    from myoflow.progress import Bars

    if like is not None:
        if store is not None or subjects or cluster or jobs or skip_bad:
            raise InputError("--like takes FILE [STORE], and no --subjects, --jobs, --cluster or --skip-bad")
        names = tuple(name.strip() for name in channels.split(",")) if channels else ()
        tables.conversion(convert_file(Path(dataset), raw, like, rate, units, names, variable, hold, progress=Bars()))
        return
    if rate or units or channels or variable or hold:
        raise InputError("--rate, --units, --channels, --variable and --hold go with --like; else the card says it")
    if store is None and is_simulated(dataset):
        raw, store = None, raw  # nothing to read: the only path is the store's
    chosen = workers(jobs, cluster)
    done = convert_dataset(dataset, raw, store, subjects=subjects, progress=Bars(), workers=chosen, skip_bad=skip_bad)
    tables.conversion(done)


@app.command()
def new(
    what: Annotated[str, typer.Argument(metavar="dataset", help="What to begin: dataset.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name: letters, digits and _.")],
) -> None:
    """Write a commented card for a dataset of your own, to fill in."""
    from myoflow.errors import InputError
    from myoflow.readers.starter import write_card

    if what != "dataset":
        raise InputError(f"only a dataset can be begun, not '{what}': myoflow new dataset {name}")
    path = write_card(name)
    typer.echo(f"{path}: fill it in, then run `myoflow convert {name} FOLDER`")


@app.command()
def fetch(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="A dataset's name or card.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where its files go.")],
) -> None:
    """Download a dataset's files; continues where it stopped, and checks what is there."""
    from myoflow.card import load_card
    from myoflow.data.fetch import fetch as download
    from myoflow.progress import Bars

    typer.echo(str(download(load_card(dataset), folder, Bars())))


@app.command()
def info(
    store: StoreArg,
    verify: Annotated[bool, typer.Option("--verify", help="Check every file's checksum.")] = False,
) -> None:
    """Say what a store holds."""
    from myoflow import tables
    from myoflow.store import open_store

    opened = open_store(store)
    tables.store(opened)
    if verify:
        from myoflow.progress import Bars

        tables.verified(opened, Bars())


@app.command("export-bids")
def export_bids(
    store: StoreArg,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the dataset goes; new or empty.")],
    fields: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--set", metavar="FIELD=VALUE", help="A field of _emg.json, such as EMGReference=elbow."),
    ] = None,
) -> None:
    """Write a store as a BIDS-EMG dataset: EDF or BDF with tables and metadata."""
    from myoflow.export import bids
    from myoflow.progress import Bars
    from myoflow.store import open_store

    typer.echo(str(bids.export_bids(open_store(store), folder, bids.fields(fields or ()), Bars())))
