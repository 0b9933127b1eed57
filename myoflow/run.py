"""Run: one recipe from data to report, in a folder that can be resumed and loaded."""

from __future__ import annotations

import os
import shutil
import time
from datetime import datetime
from itertools import count
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from attrs import frozen

from myoflow import weights
from myoflow.backend import load_backend
from myoflow.errors import InputError
from myoflow.files import locked, read_json, write_json, write_text
from myoflow.models import main_name, pipelines, plan_recipe, require_backends, require_weights, same_recipe
from myoflow.pipeline import engine_of
from myoflow.progress import Progress, logged
from myoflow.spec import Spec
from myoflow.training.fit import learned

if TYPE_CHECKING:
    import xarray as xr

    from myoflow.engine import Parameters, Segment
    from myoflow.parallel import Workers
    from myoflow.pipeline import Pipeline, Plan, Stream
    from myoflow.recipe import Recipe


@frozen(eq=False)
class Run:
    """A finished run: its recipe, its scores, and its trained models."""

    folder: Path
    recipe: Recipe
    metrics: dict[str, Any]

    def pipeline(
        self, model: str | None = None, fold: int = 1, seed: int | None = None, backend: str | None = None
    ) -> Pipeline:
        """A trained pipeline; the recipe's own unless `model` names a baseline, on its backends unless one is given.

        Raises:
            InputError: there is no such model, or the backend cannot run here.
        """
        parameters, _ = self.load(model, fold, seed)
        if backend is not None:
            reason = engine_of(backend).missing(load_backend(backend))
            if reason:
                raise InputError(f"backend '{backend}' cannot run on this machine: {reason}")
        return pipelines(self.recipe, backend)[model or main_name(self.recipe)].with_parameters(parameters)

    def spec(self, model: str | None = None) -> Spec:
        """The input that the models were trained on."""
        return self.load(model, 1, None)[1].spec()

    def predict(self, array: xr.DataArray, model: str | None = None, backend: str | None = None) -> xr.DataArray:
        """Scores `(window, label)` of a recording `(channel, time)` at the trained rate and units.

        `predict(x).idxmax("label")` gives decisions; `time` is the end of each window in s. A model of task `regress`
        gives `(window, step, target)` in the target's units, the last step at the window's end.

        Raises:
            InputError: the array has another rate, other units or channels than the training data, or gaps.
        """
        trained = self.spec(model)
        trained.require_recording(array, mended=self.recipe.pipeline[0].mends)
        values = array.assign_attrs(
            labels=list(trained.labels), target=trained.target, SamplingFrequency=trained.rate_hz
        )
        return self.pipeline(model, backend=backend).run(values)

    def stream(self, model: str | None = None, backend: str | None = None) -> Stream:
        """A live decoder: feed `(channel, time)`, get `(window, label)` scores."""
        return self.pipeline(model, backend=backend).stream(self.spec(model))

    def export(self, out: str | Path, backend: str = "onnx", model: str | None = None) -> Path:
        """Write the trained network of fold 1 and the first seed as a model file (`export.onnx_file`, a vocoder's
        `speech.voicing`), or for a microcontroller as a folder of C (`export.mcu_project`).

        Raises:
            InputError: a model without a network, a folder at `out`, an ending that nothing is written as, or a backend
            that cannot be exported.
        """
        from myoflow.export.mcu_project import export_mcu
        from myoflow.export.onnx_file import export_onnx

        out, name = Path(out), model or main_name(self.recipe)
        on_chip = load_backend(backend).engine == "mcu"
        if out.is_dir() and not on_chip:
            raise InputError(f"{out} is a folder; name the file to write, such as {out / 'model.onnx'}")
        _fitting(out, backend, on_chip)
        plan, network, parameters = self._network(name, self.recipe.with_backend(backend) if on_chip else self.recipe)
        if on_chip:
            return export_mcu(plan, network, parameters, backend, self.recipe.title or self.recipe.name, out)
        told = {"recipe": self.recipe.name, "digest": self.recipe.digest, "model": name, "title": self.recipe.title}
        if network.stages[-1].name == "hifigan":
            from myoflow.speech.voicing import export_voice

            return export_voice(self.weights_file(name), backend, told, out)
        return export_onnx(plan, network, parameters, backend, told, out)

    def export_folder(self, folder: str | Path, model: str | None = None) -> Path:
        """Write the trained network of fold 1 and the first seed as safetensors, config and model card.

        Raises:
            InputError: a model without a network, or a folder in use.
        """
        from myoflow.export.model_folder import export_folder

        name = model or main_name(self.recipe)
        return export_folder(*self._network(name, self.recipe), self.recipe, self.metrics, name, Path(folder))

    def _network(self, name: str, recipe: Recipe) -> tuple[Plan, Segment, Parameters]:
        parameters, header = self.load(name)
        plan = plan_recipe(recipe, spec=header.spec())[name]
        network = learned(plan, plan.cut + 1)
        if network is None:
            raise InputError(f"{name} has no network to export; it is fitted without torch")
        return plan, network, parameters

    def load(
        self, model: str | None = None, fold: int = 1, seed: int | None = None
    ) -> tuple[Parameters, weights.Header]:
        """What a model has learned, with its file's header; `seed` is the recipe's first unless given.

        Raises:
            InputError: there is no such model, fold or seed.
        """
        return weights.load(self.weights_file(model, fold, seed))

    def weights_file(self, model: str | None = None, fold: int = 1, seed: int | None = None) -> Path:
        """Where a model's learned numbers lie. Raises InputError when there is no such model or fold."""
        name = model or main_name(self.recipe)
        if name not in self.metrics["models"]:
            raise InputError(f"{self.folder} has no model '{name}'; it has {', '.join(self.metrics['models'])}")
        folds = len(self.metrics["split"])
        if not 1 <= fold <= folds:
            raise InputError(f"{self.folder} has no fold {fold}; it has {'one, 1' if folds == 1 else f'1 to {folds}'}")
        seed = self.recipe.train.seeds[0] if seed is None else seed
        return self.folder / f"fold-{fold}" / name / f"seed-{seed}" / "weights.safetensors"


def _fitting(out: Path, backend: str, on_chip: bool) -> None:
    """Raise InputError where the name says that something else is expected than what would be written."""
    kinds = ".onnx is one model file (--backend onnx, onnx-int8), a folder is C (--backend gap9) or --safetensors"
    if on_chip and out.suffix in (".onnx", ".c", ".h", ".zip", ".safetensors"):
        raise InputError(f"{out}: {backend} is written as a folder of C, not as a {out.suffix} file. {kinds}")
    if not on_chip and out.suffix != ".onnx":
        what = f"nothing is written as a {out.suffix} file" if out.suffix else "the name has no ending"
        raise InputError(f"{out}: {what}. {kinds}")
    above = next(folder for folder in out.absolute().parents if folder.exists())
    if not os.access(above, os.W_OK | os.X_OK):  # before the work, not behind it
        raise InputError(f"{out} cannot be written: no permission in {above}")


def run_recipe(
    recipe: Recipe,
    *,
    backend: str | None = None,
    out: str | Path | None = None,
    progress: Progress | None = None,
    workers: Workers | None = None,
) -> Run:
    """Prepare, train, evaluate and report in the folder `out` (default `runs/<recipe>/<time>`).

    `workers` filter the recordings: cores of this machine (default all) or a cluster's.

    Raises:
        RecipeError, InputError: the recipe does not fit the data, the data is not there, or the folder is in use.
    """
    if backend is not None:
        recipe = recipe.with_backend(backend)
    plans = plan_recipe(recipe)  # a recipe that cannot run leaves no folder behind
    require_backends(plans)
    require_weights(recipe, plans)
    folder = _new_folder(recipe.name, out)
    write_text(folder / "recipe.yaml", recipe.dump())
    try:
        return resume_run(folder, progress=progress, workers=workers)
    except InputError:
        if not any(folder.glob("fold-*")):
            shutil.rmtree(folder, ignore_errors=True)  # nothing was done yet; the same --out works again
        raise


def _new_folder(name: str, out: str | Path | None) -> Path:
    """An empty folder of this run's own. Raises InputError when the one asked for is in use."""
    if out is not None:
        folder = Path(out)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError(
                f"{folder} is in use; give another --out, or continue that run with --resume {quote(str(folder))}"
            )
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    stem = Path("runs") / name / datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    for number in count(1):  # another run may have begun in the same second
        folder = stem if number == 1 else stem.with_name(f"{stem.name}_{number}")
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            continue
    raise AssertionError("count never ends")


def resume_run(path: str | Path, *, progress: Progress | None = None, workers: Workers | None = None) -> Run:
    """Continue a run where it stopped; of a finished one only scores and report are made again."""
    from myoflow.experiment import Experiment
    from myoflow.gather import environment

    folder = Path(path)
    recipe = _recipe(folder)
    require_backends(plan_recipe(recipe))
    with locked(folder), logged(progress or Progress(), folder / "log.txt") as told:
        if not (folder / "environment.json").is_file():
            write_json(folder / "environment.json", environment())
        metrics = Experiment(recipe, folder, told, workers).run()
    return Run(folder, recipe, metrics)


def process_number() -> int:
    """Which of a run's processes this is, as torchrun and accelerate count them; 0 does everything but train alone."""
    return int(os.environ.get("RANK", "0"))


def assist_run(path: str | Path | None, patience_s: float = 600.0) -> None:
    """Train along in a run whose process 0 works in the folder at `path`.

    Raises:
        InputError: no folder to meet in, or process 0 does not open its data there in time.
    """
    from myoflow.experiment import Experiment

    if path is None:
        raise InputError("a run of several processes needs a folder that all know: give --out")
    folder, until = Path(path), time.monotonic() + patience_s
    while not (folder / "data.json").is_file():
        if time.monotonic() > until:
            raise InputError(f"process 0 has not opened its data in {folder} for {patience_s:g} s")
        time.sleep(0.2)
    Experiment(_recipe(folder), folder, Progress()).assist()


def load_run(path: str | Path) -> Run:
    """Open a finished run's folder. Raises InputError when it is none, or has not finished."""
    folder = Path(path)
    recipe = _recipe(folder)
    metrics = read_json(folder / "metrics.json", None)
    if metrics is None:
        raise InputError(f"{folder} has not finished; continue it with `myoflow run --resume {quote(str(folder))}`")
    same_recipe(folder, recipe, [name for name in metrics["models"] if name in pipelines(recipe)])
    return Run(folder, recipe, metrics)


def _recipe(folder: Path) -> Recipe:
    from myoflow.recipe import load

    if not (folder / "recipe.yaml").is_file():
        raise InputError(f"{folder} is not a run's folder: it has no recipe.yaml")
    return load(folder / "recipe.yaml")
