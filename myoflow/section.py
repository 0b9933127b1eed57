"""Section: a part of the report, with its pictures and tables, as whoever knows what it means hands it over."""

from __future__ import annotations

from typing import Literal

from attrs import frozen


@frozen
class Picture:
    """A figure of a section: inline SVG from `report.figures`, and what stands above and below it.

    `said` are lines of (series, text, right?) above it, such as what each model decided; `series` gives the title a
    colour.
    """

    svg: str
    title: str = ""
    caption: str = ""
    series: int | None = None
    said: tuple[tuple[int, str, bool | None], ...] = ()


@frozen
class Grid:
    """A table of a section: column heads, and rows of texts whose first cell names the row."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""


@frozen
class Section:
    """A part of the report that the task draws. `name` is its address in the page and its short name in the menu.

    `layout` says how figures stand: each over the whole width, side by side, or as a grid of small ones.
    """

    name: str
    title: str
    text: str = ""
    figures: tuple[Picture, ...] = ()
    tables: tuple[Grid, ...] = ()
    layout: Literal["wide", "pair", "cells"] = "wide"
    note: str = ""
