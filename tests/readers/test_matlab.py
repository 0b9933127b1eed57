"""matlab: variables of .mat files, and every way such a file can be damaged."""

import struct
from pathlib import Path

import numpy as np
import pytest
from make_ninapro import exercise, mat5, mat73

from myoflow.errors import InputError
from myoflow.readers.matlab import load
from myoflow.readers.mcos import Objects
from myoflow.readers.source import File

FILE = File("a.mat", "raw/a.mat", data=b"")
ARRAYS = exercise("ninapro_db5", 1, 1, span=3)


def read(data, names=None):
    return load(FILE, data, names)


@pytest.mark.parametrize("kind", ["packed", "plain", "7.3"])
def test_variables_come_through(kind):
    if kind == "7.3":
        pytest.importorskip("h5py")
    data = mat73(ARRAYS) if kind == "7.3" else mat5(ARRAYS, packed=kind == "packed")
    mat = read(data)
    for name in ("emg", "acc", "glove", "restimulus"):
        np.testing.assert_array_equal(mat.matrix(name), ARRAYS[name])
        assert mat.matrix(name).dtype == ARRAYS[name].dtype
    np.testing.assert_array_equal(mat.column("rerepetition"), ARRAYS["rerepetition"].ravel())
    assert (mat.scalar("subject"), mat.scalar("gender")) == (1, "m")
    assert "emg" in mat and "nothing" not in mat
    assert set(read(data, {"acc", "nothing"}).variables) == {"acc"}


def test_a_file_of_the_other_byte_order():
    values = np.array([[1.5, -2.0]], ">f8")

    def element(kind, data):
        return struct.pack(">II", kind, len(data)) + data + bytes(-len(data) % 8)

    parts = element(6, struct.pack(">II", 6, 0)) + element(5, struct.pack(">ii", 1, 2)) + element(1, b"x")
    data = b"MATLAB 5.0".ljust(116) + bytes(8) + b"\1\0MI" + element(14, parts + element(9, values.tobytes()))
    assert read(data).matrix("x").tolist() == [[1.5, -2.0]]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda m: m.matrix("glov"), r"there is no variable glov; the file has acc, age, emg, .*\(13 in all\)"),
        (lambda m: m.matrix("emg", 8), "variable emg has 16 columns, expected 8"),
        (lambda m: m.matrix("gender"), "variable gender is not a table of real numbers"),
        (lambda m: m.column("emg"), "variable emg is not one column"),
        (lambda m: m.column("restimulus", 5), r"variable restimulus row \d+ is 6, not a whole number from 0 to 5"),
        (lambda m: m.scalar("emg"), "variable emg is not a single number or text"),
    ],
)
def test_what_is_not_as_asked_for_is_named(call, says):
    with pytest.raises(InputError, match="raw/a.mat: " + says):
        call(read(mat5(ARRAYS)))


def test_columns_must_be_whole_numbers():
    mat = read(mat5({"x": np.array([[0.0], [1.0], [np.nan]]), "y": np.array([[1.5]]), "z": np.zeros((0, 3))}))
    with pytest.raises(InputError, match="variable x row 3 is nan, not a whole number"):
        mat.column("x")
    with pytest.raises(InputError, match=r"variable y row 1 is 1\.5"):
        mat.column("y")
    with pytest.raises(InputError, match="variable z has no rows"):
        mat.matrix("z")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "the file is empty"),
        (b"a,b\n1,2\n" * 40, r"is not a MATLAB \.mat file of version 5 to 7\.3 \(byte 0\)"),
        (mat5(ARRAYS)[:100], "is not a MATLAB"),
        (mat5(ARRAYS)[:132], r"byte 128: the file ends inside a variable\. Is the download complete\?"),
        (mat5(ARRAYS)[:-7], r"byte \d+: a variable of [\d,]+ bytes starts here, but only [\d,]+ follow"),
        (mat5(ARRAYS)[:128] + struct.pack("<II", 99, 8) + bytes(8), "byte 128: expected a variable, found element"),
        (mat5(ARRAYS)[:128] + struct.pack("<II", 15, 8) + b"no zlib!", "byte 128: a compressed variable cannot be"),
    ],
    ids=["empty", "text", "head", "tag", "cut", "kind", "zlib"],  # the bytes hold the time of day
)
def test_a_broken_file_is_named_with_its_byte(data, says):
    with pytest.raises(InputError, match="^raw/a.mat: " + says):
        read(data)


def test_a_compressed_variable_that_claims_too_much_is_not_believed():
    import zlib

    head = mat5(ARRAYS)[:128]
    for claim in (1 << 31, 100):
        packed = zlib.compress(struct.pack("<II", 14, claim) + bytes(50))
        with pytest.raises(InputError, match="byte 128: a compressed variable should unpack to"):
            read(head + struct.pack("<II", 15, len(packed)) + packed)


@pytest.mark.parametrize("kind", ["packed", "plain", "7.3"])
def test_damage_anywhere_is_refused_or_harmless(kind):
    """Cut off and flipped bits: compressed variables prove themselves, nothing else than an InputError comes out."""
    if kind == "7.3":
        pytest.importorskip("h5py")
    whole = {name: ARRAYS[name][:80] if len(ARRAYS[name]) > 1 else ARRAYS[name] for name in ARRAYS}
    data = mat73(whole) if kind == "7.3" else mat5(whole, packed=kind == "packed")
    rng = np.random.default_rng(0)
    refused = 0
    for trial in range(60):
        broken = bytearray(data)
        if trial % 3 == 0:
            broken = broken[: int(rng.integers(len(data)))]
        else:
            broken[int(rng.integers(128, len(data)))] ^= 1 << int(rng.integers(8))
        try:
            found = read(bytes(broken))
            if kind == "packed":
                for name in ("emg", "glove"):
                    if name in found:
                        np.testing.assert_array_equal(found.matrix(name), whole[name])
        except InputError as error:
            refused += 1
            assert str(error).startswith("raw/a.mat: ")
    assert refused >= 20


def test_structs_of_73_say_what_to_do():
    h5py = pytest.importorskip("h5py")
    import io

    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        file.create_group("userData").attrs["MATLAB_class"] = np.bytes_("struct")
    with pytest.raises(InputError, match=r"variable userData is a struct, which is read only up to MATLAB 7\.2"):
        read(out.getvalue()).matrix("userData")


def test_without_h5py_the_extra_is_named(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(InputError, match=r"is a MATLAB 7\.3 file, which needs h5py: pip install 'myoflow\[readers\]'"):
        read(b"\x89HDF\r\n\x1a\n" + bytes(600))


@pytest.mark.parametrize("hidden", [None, np.zeros((1, 8), np.uint8), np.array([["x"]])])
def test_no_objects_are_no_objects(hidden):
    with pytest.raises(ValueError, match="holds no objects"):
        Objects(hidden)


REAL = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.mark.data
@pytest.mark.skipif(not REAL.is_dir(), reason="needs ../shared/data")
@pytest.mark.parametrize("name", ["ninapro_db1/S1_A1_E1.mat", "ninapro_db5/S4_E1_A1.mat"])
def test_real_files_are_what_scipy_alone_reads(name):
    from scipy.io import loadmat

    path = REAL / name
    found = read(path.read_bytes())
    plain = {key: value for key, value in loadmat(path).items() if not key.startswith("__")}
    assert found.variables.keys() == plain.keys()
    for key, value in plain.items():
        np.testing.assert_array_equal(found.variables[key], value)
