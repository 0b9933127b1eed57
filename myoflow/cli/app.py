"""The application that every verb joins, and the arguments that several of them take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

app = typer.Typer(
    name="myoflow",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(asked: bool) -> None:
    if asked:
        from myoflow import __version__

        typer.echo(f"myoflow {__version__}")
        raise typer.Exit


@app.callback()
def _whole(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Surface EMG from raw files to a running decoder, from one YAML recipe."""


RecipeArg = Annotated[str, typer.Argument(metavar="RECIPE", help="A recipe's name or path.")]
Overrides = Annotated[Optional[list[str]], typer.Argument(help="Changes such as train.lr=1e-3.")]  # noqa: UP045
Backend = Annotated[Optional[str], typer.Option(help="Where all stages that can shall run.")]  # noqa: UP045
StoreArg = Annotated[Path, typer.Argument(metavar="STORE", help="A store's folder, such as data/uci_emg.zarr.")]
Jobs = Annotated[Optional[int], typer.Option(min=1, help="Cores to use; default all.")]  # noqa: UP045
Cluster = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        metavar="ADDRESS", help="A dask scheduler whose workers do it, such as tcp://HOST:8786, or slurm:jobs=4,..."
    ),
]
