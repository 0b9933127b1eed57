"""Address: what a user writes for a source or a sink, `NAME:ADDRESS?key=value&key=value`, as an object."""

from __future__ import annotations

from typing import Any, TypeVar

import attrs

from myoflow.errors import InputError, did_you_mean
from myoflow.registry import Registry
from myoflow.typed import Mismatch, coerce, describe, hints_of

T = TypeVar("T")
_WORDS = {"true": True, "false": False, "none": None}


def parse(text: str, registry: Registry[T]) -> T:
    """The source or sink that a text names; its options are the class's fields, checked by their hints.

    Raises:
        InputError: no such name, an option that it does not have, a value that does not fit.
    """
    name, _, rest = text.partition(":")
    name, _, query = name.partition("?") if not rest else (name, "", "")
    where, mark, options = rest.partition("?")
    options = options if mark else query
    if name not in registry:
        raise InputError(
            f"there is no {registry.kind} '{name}'{did_you_mean(name, registry) or '.'} "
            f"There are: {', '.join(registry)}; one is written NAME:ADDRESS?key=value"
        )
    cls = registry[name]
    hints = hints_of(cls)
    given: dict[str, Any] = {"address": where} if where else {}
    for option in filter(None, options.split("&")):
        key, mark, value = option.partition("=")
        known = [field for field in hints if field != "address"]
        if key not in known:
            has = f"It has: {', '.join(known)}" if known else "It has none"
            raise InputError(f"{registry.kind} {name} has no option '{key}'{did_you_mean(key, known) or '.'} {has}")
        if not mark:
            raise InputError(f"{registry.kind} {name}: write {key}=VALUE; it takes {describe(hints[key])}")
        try:
            given[key] = _value(value, hints[key])
        except Mismatch as error:
            raise InputError(f"{registry.kind} {name}: {key}: {error}") from None
    lacking = [f for f in attrs.fields(cls) if f.default is attrs.NOTHING and f.name not in given]  # type: ignore[arg-type]
    if lacking:
        what = "an address" if lacking[0].name == "address" else f"{lacking[0].name}="
        raise InputError(f"{registry.kind} {name} needs {what}: see `myoflow show {registry.kind}s.{name}`")
    try:
        return cls(**given)
    except Mismatch as error:
        raise InputError(f"{registry.kind} {name}: {error}") from None


def _value(text: str, hint: Any) -> Any:
    """Text of the command line as the hint demands: as it stands, or as the number or truth value it spells."""
    meanings: list[Any] = [text]
    if text.lower() in _WORDS:
        meanings.append(_WORDS[text.lower()])
    for number in (int, float):
        try:
            meanings.append(number(text))
        except ValueError:
            continue
    first: Mismatch | None = None
    for meaning in meanings:
        try:
            return coerce(meaning, hint, text=True)
        except Mismatch as error:
            first = first or error
    assert first is not None, "there is always one meaning, the text itself"
    raise first
