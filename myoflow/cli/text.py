"""Verbs on text: lm."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from myoflow.cli.app import app


@app.command()
def lm(
    text: Annotated[Path, typer.Argument(metavar="TEXT", help="A file of sentences, one a line.")],
    out: Annotated[Path, typer.Argument(metavar="OUT.arpa", help="The model to write.")],
    order: Annotated[int, typer.Option(min=1, help="Words of the longest n-grams.")] = 4,
    test: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Sentences of which the perplexity is said."),
    ] = None,
    dashes: Annotated[str, typer.Option(help="part: a dash parts words; glue: it vanishes, as published.")] = "part",
    digits: Annotated[str, typer.Option(help="keep or spell: whole numbers written out.")] = "keep",
    raw: Annotated[
        bool, typer.Option("--raw", help="Take words as they stand: no lower case, nothing removed.")
    ] = False,
) -> None:
    """Build a language model from text: modified Kneser-Ney, written as ARPA."""
    from myoflow.errors import InputError
    from myoflow.text import arpa
    from myoflow.text.corpus import sentences
    from myoflow.text.ngram import build

    for name, value, known in (("dashes", dashes, ("part", "glue")), ("digits", digits, ("keep", "spell"))):
        if value not in known:
            raise InputError(f"--{name} takes {' or '.join(known)}, got '{value}'")
    read = sentences(text, dashes=dashes, digits=digits, raw=raw)
    model = build(read, order)
    arpa.write(model, out)
    counts = ", ".join(f"{len(table):,} of {n}" for n, table in enumerate(model.probability, 1))
    typer.echo(f"{out}: {len(read):,} sentences, {len(model.words):,} words; n-grams: {counts}")
    if test is not None:
        held = sentences(test, dashes=dashes, digits=digits, raw=raw)
        unknown = sum((word,) not in model.probability[0] for words in held for word in words)
        total = sum(map(len, held))
        typer.echo(
            f"{test}: perplexity {model.perplexity(held):.1f} per word; {unknown:,} of {total:,} words are unknown "
            "to the model"
        )
