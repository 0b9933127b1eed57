"""The command line: one verb a function; heavy things are imported only inside a verb."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

app = typer.Typer(
    name="myoflow",
    help="Surface EMG from raw files to a running decoder, from one YAML recipe.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

RecipeArg = Annotated[str, typer.Argument(metavar="RECIPE", help="A recipe's name or path.")]
Overrides = Annotated[Optional[list[str]], typer.Argument(help="Changes such as train.lr=1e-3.")]  # noqa: UP045
Backend = Annotated[Optional[str], typer.Option(help="Where all stages that can shall run.")]  # noqa: UP045
StoreArg = Annotated[Path, typer.Argument(metavar="STORE", help="A store's folder, such as data/uci_emg.zarr.")]


@app.command()
def run(
    recipe: Annotated[Optional[str], typer.Argument(help="A recipe's name or path.")] = None,  # noqa: UP045
    overrides: Overrides = None,
    backend: Backend = None,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="The run's folder; default runs/<recipe>/<time>."),
    ] = None,
    resume: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Continue a run that was stopped, from its folder."),
    ] = None,
) -> None:
    """Run a recipe: prepare, train, evaluate, report."""
    from myoflow.errors import InputError
    from myoflow.progress import Bars
    from myoflow.run import resume_run, run_recipe

    if (recipe is None) == (resume is None):
        raise InputError("give a recipe to run, or --resume RUN, not both")
    if resume is not None:
        if overrides or backend or out:
            raise InputError("--resume takes the run's own recipe; overrides, --backend and --out do not go with it")
        done = resume_run(resume, progress=Bars())
    else:
        from myoflow.recipe import load

        assert recipe is not None
        done = run_recipe(load(recipe, overrides or ()), backend=backend, out=out, progress=Bars())
    from myoflow import tables

    tables.scores(done)


@app.command()
def check(recipe: RecipeArg, overrides: Overrides = None, backend: Backend = None) -> None:
    """Plan a recipe and print the plan, without opening data or training."""
    from myoflow import tables
    from myoflow.models import plan_recipe
    from myoflow.recipe import load

    loaded = load(recipe, overrides or ())
    tables.plans(loaded, plan_recipe(loaded, backend))


@app.command()
def convert(
    dataset: Annotated[str, typer.Argument(help="A dataset's name or card; with --like, a file.")],
    raw: Annotated[Optional[Path], typer.Argument(help="The archive or folder as downloaded.")] = None,  # noqa: UP045
    store: Annotated[Optional[Path], typer.Argument(help="Where the store goes.")] = None,  # noqa: UP045
    jobs: Annotated[int, typer.Option(min=1, help="Recordings at a time.")] = 1,
    subjects: Annotated[Optional[str], typer.Option(help="Only these, such as 1..6 or 1,4,7.")] = None,  # noqa: UP045
    cluster: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="ADDRESS", help="A dask scheduler, such as tcp://HOST:8786, whose workers do it."),
    ] = None,
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
    from myoflow.errors import InputError
    from myoflow.progress import Bars
    from myoflow.source import convert_dataset, convert_file, is_simulated

    if like is not None:
        if store is not None or subjects or cluster:
            raise InputError("--like takes FILE [STORE], and no --subjects or --cluster")
        names = tuple(name.strip() for name in channels.split(",")) if channels else ()
        tables.conversion(convert_file(Path(dataset), raw, like, rate, units, names, variable, hold, progress=Bars()))
        return
    if rate or units or channels or variable or hold:
        raise InputError("--rate, --units, --channels, --variable and --hold go with --like; else the card says it")
    if store is None and is_simulated(dataset):
        raw, store = None, raw  # nothing to read: the only path is the store's
    done = convert_dataset(dataset, raw, store, jobs=jobs, subjects=subjects, progress=Bars(), cluster=cluster)
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
    from myoflow.fetch import fetch as download
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


@app.command("list")
def list_(what: Annotated[str, typer.Argument(help="stages, datasets, formats, backends or recipes.")]) -> None:
    """List what there is."""
    from myoflow import tables

    tables.listing(what)


@app.command()
def show(name: Annotated[str, typer.Argument(help="A stage, dataset, backend or recipe.")]) -> None:
    """Show one stage (fields, units, defaults, backends), dataset card, backend or recipe."""
    from myoflow import tables

    tables.show(name)


@app.command()
def cp(
    recipe: RecipeArg,
    to: Annotated[Optional[Path], typer.Argument(help="Where; default ./recipes/<name>.yaml.")] = None,  # noqa: UP045
) -> None:
    """Copy a shipped recipe to edit it."""
    import shutil

    from myoflow.errors import InputError
    from myoflow.library import find

    source = find("recipes", recipe)
    target = to or Path("recipes") / source.name
    if target.is_dir():
        target = target / source.name
    if target.exists():
        raise InputError(f"{target} exists already; give another name")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    typer.echo(f"{target}: edit it, then run `myoflow run {target}`")


@app.command()
def schema() -> None:
    """Print the JSON Schema of recipes, for completion in editors."""
    import json

    from myoflow.schema import recipe_schema

    typer.echo(json.dumps(recipe_schema(), indent=2))


def main() -> None:
    """Entry point: errors of the user end in one line each and exit code 2, failures in 1."""
    from myoflow.errors import MyoflowError

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without our characters gets question marks
    try:
        app()
    except MyoflowError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        print(f"{place}{error.strerror or error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
