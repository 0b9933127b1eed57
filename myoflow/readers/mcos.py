"""mcos: properties of MATLAB class objects in .mat files of version 5 to 7.2, as far as `categorical` needs them.

MATLAB writes an object as six numbers only (`0xDD000000`, 2, 1, 1, object, class); its properties lie in a hidden
variable, the "FileWrapper__", a list of cells. MathWorks does not document it. Cell 0 is a table in uint32:

    version, number of names, offsets of six regions; the names (class and property names), each ended by a zero
    region 1  per class:  package, class name, 0, 0
    region 3  per object: class, 0, 0, number in region 2, number in region 4, dependency
    region 4  per entry:  how many properties, then for each: name, kind, value; padded to 8 bytes

Entry 0 of every region stands for nothing. A property's value is cell `value + 2` (kind 1), a plain number (kind 2),
or a name (kind 0). Found by looking at the EPN-612 files, whose labels are also known otherwise.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

_MAGIC = 0xDD000000
_FIRST_CELL = 2


class Objects:
    """The objects of a file, from its hidden variable as `matlab.load` gives it.

    Raises:
        ValueError: there are none, or they are stored in a way that is not known.
    """

    def __init__(self, hidden: Any) -> None:
        self._cells = _cells(hidden)
        table = np.asarray(self._cells[0]).ravel()
        if table.dtype != np.uint8 or len(table) < 40:
            raise ValueError("its table is missing")
        self._table = table.tobytes()
        head = np.frombuffer(self._table, "<u4", 8)
        version, count, offsets = int(head[0]), int(head[1]), [int(value) for value in head[2:]]
        if version not in (2, 3, 4) or sorted(offsets[:5]) != offsets[:5] or offsets[4] > len(self._table):
            raise ValueError(f"its table is of an unknown form (version {version})")
        words = self._table[40 : offsets[0]].split(b"\0")[:count]
        self._names = ("", *(word.decode("ascii") for word in words))
        self._classes = self._region(offsets[0], offsets[1]).reshape(-1, 4)
        self._objects = self._region(offsets[2], offsets[3]).reshape(-1, 6)
        self._entries = _entries(self._region(offsets[3], offsets[4]))

    def _region(self, start: int, end: int) -> npt.NDArray[np.uint32]:
        return np.frombuffer(self._table[start:end], "<u4")

    def properties(self, reference: Any) -> tuple[str, dict[str, Any]]:
        """Class name and stored properties of one object, given the numbers MATLAB wrote in its place.

        Raises:
            ValueError: it is not such an object.
        """
        numbers = [int(value) for value in np.asarray(reference).ravel()]
        if len(numbers) != 6 or numbers[0] != _MAGIC or numbers[1:4] != [2, 1, 1]:
            raise ValueError("it is not a single object")
        if not 0 < numbers[4] < len(self._objects):
            raise ValueError(f"there is no object {numbers[4]}")
        entry = self._objects[numbers[4]]
        kind, stored = int(entry[0]), int(entry[4])
        if not 0 < kind < len(self._classes) or not 0 < stored < len(self._entries):
            raise ValueError(f"object {numbers[4]} has no properties")
        found: dict[str, Any] = {}
        for name, how, value in self._entries[stored]:
            found[self._name(name)] = self._value(how, value)
        return self._name(int(self._classes[kind][1])), found

    def _name(self, number: int) -> str:
        if not 0 < number < len(self._names):
            raise ValueError(f"there is no name {number}")
        return self._names[number]

    def _value(self, how: int, value: int) -> Any:
        if how == 0:
            return self._name(value)
        if how == 2:
            return value
        if how != 1 or value + _FIRST_CELL >= len(self._cells):
            raise ValueError(f"a property is stored in an unknown way ({how})")
        return self._cells[value + _FIRST_CELL]

    def categorical(self, value: Any) -> str:
        """The one word of a 1 x 1 categorical, as scipy gives it. Raises ValueError: it is something else."""
        opaque = np.asarray(value).ravel()
        if len(opaque) != 1 or opaque.dtype.names is None or "arr" not in opaque.dtype.names:
            raise ValueError("it is not an object")
        kind, found = self.properties(opaque[0]["arr"])
        if kind != "categorical" or "categoryNames" not in found or "codes" not in found:
            raise ValueError(f"it is a {kind}, not a categorical")
        words = [str(np.asarray(word).ravel()[0]) for word in np.asarray(found["categoryNames"]).ravel()]
        codes = np.asarray(found["codes"]).ravel()
        if len(codes) != 1 or not 0 < int(codes[0]) <= len(words):
            raise ValueError("its value is undefined")
        return words[int(codes[0]) - 1]


def _cells(hidden: Any) -> list[Any]:
    """The wrapper's cells: a struct with the field MCOS, in it an opaque object, in it the list."""
    try:
        opaque = np.asarray(hidden).ravel()[0]["MCOS"].ravel()[0]
        return list(np.asarray(opaque["arr"]).ravel())
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise ValueError("the file holds no objects") from error


def _entries(region: npt.NDArray[np.uint32]) -> list[list[tuple[int, int, int]]]:
    found: list[list[tuple[int, int, int]]] = []
    at = 0
    while at < len(region):
        count = int(region[at])
        numbers = region[at + 1 : at + 1 + 3 * count]
        if len(numbers) != 3 * count:
            raise ValueError("its properties are cut off")
        found.append([(int(a), int(b), int(c)) for a, b, c in numbers.reshape(-1, 3)])
        at += 1 + 3 * count
        at += at % 2
    return found
