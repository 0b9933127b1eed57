"""Tensors: the named tensors of a weights file of any kind, read without running code that came with it."""

from __future__ import annotations

import json
import math
import pickle
import re
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from myoflow.errors import InputError
from myoflow.files import read_json

if TYPE_CHECKING:
    import torch

CHECKPOINTS = (".ckpt", ".pt", ".pth", ".bin")
BARE = ("", ".tar")  # published vocoders are called g_02500000, generator_v1, checkpoint or x.pth.tar
BEGINS = (b"PK\x03\x04", b"\x80\x02")  # what torch writes, today and before 1.6

# What a Lightning checkpoint holds beside its tensors: settings, which are read as inert things and thrown away.
HARMLESS = ("omegaconf.", "lightning.", "lightning_fabric.", "pytorch_lightning.", "lightning_utilities.")
PLAIN = {
    ("argparse", "Namespace"), ("collections", "defaultdict"), ("pathlib", "PosixPath"), ("pathlib", "PurePosixPath"),
    ("typing", "Any"), ("torch", "device"), ("torch", "Size"),
    *(("builtins", name) for name in ("dict", "list", "set", "tuple", "int", "float", "str", "bool")),
}  # fmt: skip


def read(path: str | Path) -> dict[str, torch.Tensor]:
    """All tensors of a file by name: safetensors, or a checkpoint of torch or Lightning. A run's folder stands for
    the weights of its own pipeline, an exported folder for its `model.safetensors`.

    Raises:
        InputError: the file is missing, damaged or of another kind, or its pickle asks for code to be run.
    """
    found = _file(Path(path))
    tensors = _safetensors(found) if found.suffix == ".safetensors" else _checkpoint(found)
    if not tensors:
        raise InputError(f"{found} holds no tensors")
    return tensors


def _file(path: Path) -> Path:
    if path.is_dir():
        return _in_folder(path)
    if not path.is_file():
        raise InputError(f"there are no weights at {path}")
    if path.suffix not in (".safetensors", *CHECKPOINTS) and not (path.suffix in BARE and _begins(path)):
        raise InputError(f"{path}: weights are read from .safetensors, {', '.join(CHECKPOINTS)} or a run's folder")
    return path


def _begins(path: Path) -> bool:
    """Whether a file begins as a checkpoint does."""
    with path.open("rb") as file:
        return file.read(4).startswith(BEGINS)


def _in_folder(path: Path) -> Path:
    """The exported weights of a folder, or those of a run's own pipeline, first fold and seed."""
    if (path / "model.safetensors").is_file():
        return path / "model.safetensors"
    main = read_json(path / "metrics.json", {}).get("main")
    if main is None:
        raise InputError(
            f"there are no weights in the folder {path}: neither exported ones nor those of a finished run"
        )
    seeds = sorted((path / "fold-1" / main).glob("seed-*/weights.safetensors"))
    if not seeds:
        raise InputError(f"the run {path} has no weights of {main}")
    found: Path = seeds[0]
    return found


def encoder_settings(path: str | Path) -> dict[str, Any]:
    """What a run or an exported folder says of its encoder beside its tensors: the keys of its `tinymyo` stage, and the
    name of the stage that makes its tokens as `behind`.

    Tensors do not tell how many heads shared their features, so that other numbers load without an error and compute
    something else. Empty where nothing is known, as of released files.
    """
    path = Path(path)
    folder = path if path.is_dir() else path.parent
    told = read_json(folder / "config.json", {})
    if (folder / "model.safetensors").is_file():
        stages = told.get("stages", []) if isinstance(told, dict) else []
        return _encoder([(stage.get("stage"), stage) for stage in stages if isinstance(stage, dict)])
    run, model = folder, None
    if not (run / "recipe.yaml").is_file() and len(folder.parents) > 2:  # RUN/fold-1/MODEL/seed-0/weights.safetensors
        run, model = folder.parents[2], folder.parent.name
    return _of_recipe(run / "recipe.yaml", model)


def output_steps(path: str | Path) -> int | None:
    """How many steps a regression gives for a window, as an exported folder says; None where nothing is known."""
    path = Path(path)
    told = read_json((path if path.is_dir() else path.parent) / "config.json", {})
    output = told.get("output", {}) if isinstance(told, dict) else {}
    sizes = dict(zip(output.get("dims", ()), output.get("sizes", ()), strict=False))
    steps = sizes.get("step")
    return steps if isinstance(steps, int) else None


def _encoder(stages: list[tuple[Any, dict[str, Any]]]) -> dict[str, Any]:
    """The `tinymyo` stage among the names and keys of stages, and what is before it."""
    names = [name for name, _ in stages]
    if "tinymyo" not in names:
        return {}
    at = names.index("tinymyo")
    return {**stages[at][1], "behind": names[at - 1] if at else None}


def _of_recipe(path: Path, model: str | None) -> dict[str, Any]:
    """The `tinymyo` stage of a run's filled recipe, or of one of its baselines."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        recipe = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
        stages = (recipe["baselines"] or {}).get(model) or recipe["pipeline"]
        return _encoder([next(iter(stage.items())) if isinstance(stage, dict) else (stage, {}) for stage in stages])
    except (OSError, UnicodeDecodeError, YAMLError, KeyError, TypeError, AttributeError):
        return {}


def agree(path: str | Path, heads: int, positions: str) -> None:
    """Raise InputError where the weights are known to have been trained with other heads or positions."""
    told = encoder_settings(path)
    for name, asked in (("heads", heads), ("positions", positions)):
        if name in told and told[name] != asked:
            raise InputError(f"{path} was trained with {name}: {told[name]}, and computes something else with {asked}")


def _safetensors(path: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{path} is not a whole safetensors file ({error}); fetch or write it again") from None


def _checkpoint(path: Path) -> dict[str, torch.Tensor]:
    try:
        loaded = _unzipped(path) if zipfile.is_zipfile(path) else _old(path)
    except _Refused as error:
        raise InputError(f"{path} is refused: {error}. Nothing of it was run; ask for safetensors instead") from None
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path} is refused: it is not plain tensors ({_reason(error)}); ask for safetensors"
        ) from None
    except Exception as error:  # a damaged pickle can fail in any way
        raise InputError(f"{path} is not a readable checkpoint ({_reason(error)})") from None
    for key in ("state_dict", "model", "module", "generator"):
        if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
            loaded = loaded[key]
    if not isinstance(loaded, dict):
        raise InputError(f"{path} is a checkpoint without a state_dict")
    import torch

    return {str(name): value for name, value in loaded.items() if isinstance(value, torch.Tensor)}


def _old(path: Path) -> Any:
    """What torch.save wrote before it wrote zips, as torch reads it without running code."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # on protocols: what cannot be read is an error anyway
        return torch.load(path, "cpu", weights_only=True)


def _reason(error: Exception) -> str:
    """What torch or pickle says, without torch's advice to load such a file nevertheless."""
    text = str(error)
    if named := re.search(r"GLOBAL (\S+)", text):
        return f"its pickle asks for {named[1]}"
    if said := re.search(r"WeightsUnpickler error:\s*(.+)", text):
        return said[1]
    lines = text.splitlines() or [type(error).__name__]
    return lines[0].partition(" In PyTorch 2.6")[0].rstrip(".")


class _Refused(Exception):
    """A pickle that names something that tensors do not need."""


class _Inert:
    """Stands in for every object that is not a tensor: it takes anything, does nothing, and is thrown away."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __call__(self, *args: Any, **kwargs: Any) -> _Inert:
        return self

    def __setstate__(self, state: Any) -> None:
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, value: Any) -> None:
        pass

    def extend(self, values: Any) -> None:
        pass


class _Named(dict[Any, Any]):
    """An OrderedDict; what torch notes on one (versions of its modules) is thrown away."""

    def __setstate__(self, state: Any) -> None:
        pass


class _Unpickler(pickle.Unpickler):
    """Builds dicts, lists, numbers, texts and tensors, and never imports what a pickle names."""

    def __init__(self, file: BinaryIO, storage: Callable[[Any], torch.Tensor]) -> None:
        super().__init__(file)
        self._storage = storage

    def find_class(self, module: str, name: str) -> Any:
        import torch

        if module == "torch._utils" and name in ("_rebuild_tensor", "_rebuild_tensor_v2"):
            return _tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda data, *_: data
        if (module, name) == ("collections", "OrderedDict"):
            return _Named
        if module == "torch" and (name.endswith("Storage") or isinstance(getattr(torch, name, None), torch.dtype)):
            return name
        if (module, name) in PLAIN or f"{module}.".startswith(HARMLESS):
            return _Inert
        raise _Refused(f"its pickle asks for {module}.{name}, which tensors do not need")

    def persistent_load(self, pid: Any) -> torch.Tensor:
        return self._storage(pid)


def _tensor(storage: torch.Tensor, offset: int, size: Any, stride: Any, *_: Any) -> torch.Tensor:
    if math.prod(size) > storage.numel():  # a small file must not fill the memory
        raise _Refused(f"a tensor of the shape {tuple(size)} lies on {storage.numel()} stored numbers")
    return storage.as_strided(tuple(size), tuple(stride), offset).clone()


def _unzipped(path: Path) -> Any:
    """The object in a zip that torch.save wrote: one pickle, and one member for each storage."""
    import torch

    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith("/data.pkl") or name == "data.pkl"]
        if len(names) != 1:
            raise ValueError("it has no data.pkl")
        root = names[0][: -len("data.pkl")]

        def storage(pid: Any) -> torch.Tensor:
            _, kind, key, _, count = pid
            dtype = _dtype(str(kind))
            if int(count) < 1:
                return torch.empty(0, dtype=dtype)
            with archive.open(f"{root}data/{key}") as member:  # no more than is asked for, however it was packed
                raw = bytearray(member.read(int(count) * dtype.itemsize))
            return torch.frombuffer(raw, dtype=dtype, count=int(count))

        with archive.open(names[0]) as file:
            return _Unpickler(file, storage).load()  # type: ignore[arg-type]


def _dtype(storage: str) -> torch.dtype:
    import torch

    kinds = {
        "FloatStorage": torch.float32, "DoubleStorage": torch.float64, "HalfStorage": torch.float16,
        "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
        "ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8,
        "BoolStorage": torch.bool,
    }  # fmt: skip
    if storage not in kinds:
        raise _Refused(f"its pickle asks for a storage '{storage}'")
    return kinds[storage]


def metadata(path: str | Path) -> dict[str, Any]:
    """What a safetensors file of ours says about itself; empty for others."""
    from safetensors import SafetensorError, safe_open

    found = _file(Path(path))
    if found.suffix != ".safetensors":
        return {}
    try:
        with safe_open(str(found), framework="np") as file:
            told: dict[str, Any] = json.loads((file.metadata() or {}).get("myoflow", "{}"))
    except (SafetensorError, OSError, ValueError):
        return {}
    return told
