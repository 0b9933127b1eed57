"""Model folder: a run's weights for others, as safetensors with a config and a model card, as model hubs have it."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import myoflow
from myoflow.card import load_card
from myoflow.engine import Parameters, Segment
from myoflow.errors import InputError
from myoflow.export.onnx_file import described
from myoflow.files import write_json, write_text
from myoflow.language.document import emit
from myoflow.network import trained

if TYPE_CHECKING:
    import torch

    from myoflow.pipeline import Plan
    from myoflow.recipe import Recipe

ENCODER, EMBED = "tinymyo", "patch_embedding.patch_embed.proj"


def export_folder(
    plan: Plan,
    network: Segment,
    parameters: Parameters,
    recipe: Recipe,
    metrics: Mapping[str, Any],
    model: str,
    to: Path,
) -> Path:
    """Write `model.safetensors`, `config.json` and `README.md` into a new folder, all of them or none.

    Tensors bear the names of the published TinyMyo code (`model.blocks.0...`), so that `mf.load_model` and others read
    them; thin products of LoRA are put into their matrices first.

    Raises:
        InputError: the folder exists and is not empty.
    """
    from safetensors.torch import save_file

    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise InputError(f"{to} is in use; name a folder that is new or empty")
    tensors = published_names(network, parameters)
    config = {
        "library_name": "myoflow",
        "recipe": recipe.name,
        "digest": recipe.digest,
        "stages": [_fields(stage) for stage in network.stages],
        **{key: _value(text) for key, text in described(plan, network, parameters).items()},
        "parameters": sum(tensor.numel() for tensor in tensors.values()),
    }
    to.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{to.name}-", dir=to.parent))
    try:
        save_file(tensors, part / "model.safetensors", metadata={"format": "pt"})
        (part / "model.safetensors").chmod(0o644)
        write_json(part / "config.json", config)
        write_text(part / "README.md", model_card(recipe, metrics, model, config))
        if to.exists():
            to.rmdir()
        part.chmod(0o755)
        part.rename(to)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return to


def published_names(network: Segment, parameters: Parameters) -> dict[str, torch.Tensor]:
    """The network's tensors under the names of the published code; of other stages under their own."""
    from myoflow.nn.adapt import merge

    module = trained(network, parameters.weights)
    merge(module)
    found = {}
    for name, tensor in module.state_dict().items():
        stage, _, rest = name.partition(".")
        if stage == ENCODER and rest.startswith("embed."):
            rest = rest.replace("embed", EMBED, 1)
            tensor = tensor[:, None, None] if rest.endswith("weight") else tensor
        elif stage in ("classify", "regress", "reconstruct"):
            rest = f"model_head.{rest}"
        elif stage != ENCODER:
            rest = name
        found[f"model.{rest}"] = tensor.contiguous()
    return found


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _fields(stage: Any) -> dict[str, Any]:
    from myoflow.typed import hints_of, plain

    return {"stage": stage.name, **{k: plain(getattr(stage, k), h) for k, h in hints_of(type(stage)).items()}}


def datasets_of(recipe: Recipe) -> dict[str, str]:
    """Every dataset that the weights have seen, with what it was used for; of pre-training, too, where it is known."""
    from myoflow.recipe import load

    use = "trained and tested on"
    found = {recipe.data.dataset: use}
    for name, also in recipe.data.also.items():
        found.setdefault(also.dataset or name, use)
    for stage in recipe.pipeline:
        weights = getattr(stage, "weights", None)
        if weights and (Path(weights) / "recipe.yaml").is_file():
            for dataset in datasets_of(load(Path(weights) / "recipe.yaml")):
                found.setdefault(dataset, "the encoder was pre-trained on")
    return found


def model_card(recipe: Recipe, metrics: Mapping[str, Any], model: str, config: Mapping[str, Any]) -> str:
    """README.md: front matter that hubs read, then protocol, scores, licences and how to load."""
    used = datasets_of(recipe)
    measures = recipe.train.task.measures
    scores = metrics["models"][model]["metrics"]
    results = [
        {"type": name, "value": score["value"], "name": name.replace("_", " "), "verified": False}
        for name, score in scores.items()
        if score["value"] is not None
    ]
    task = {"type": recipe.train.task.name, "name": recipe.title or recipe.name}
    front = {
        "license": "other",
        "license_name": "as-the-data",
        "library_name": "myoflow",
        "tags": ["emg", "electromyography", "biosignals", recipe.train.task.name],
        "datasets": list(used),
        "metrics": [result["type"] for result in results],
        "model-index": [
            {
                "name": recipe.name,
                "results": [
                    {
                        "task": task,
                        "dataset": {"type": recipe.data.dataset, "name": recipe.data.dataset},
                        "metrics": results,
                    }
                ],
            }
        ],
    }
    lines = ["---", emit(front).strip(), "---", "", f"# {recipe.title or recipe.name}", "", _about(recipe, config), ""]
    lines += ["## Protocol", "", _protocol(recipe, metrics), "", "## Scores", ""]
    lines += ["| metric | value | 95 % interval |", "|---|---|---|"]
    for name, score in scores.items():
        measure = measures[name]
        interval = f"{measure.number(score['low'])} to {measure.number(score['high'])}"
        lines.append(f"| {name.replace('_', ' ')} | {measure.text(score['value'])} | {interval} |")
    lines += ["", "## Data and licences", "", "Weights learned from data are bound by what the data allow.", ""]
    for dataset, use in used.items():
        card = load_card(dataset)
        restrictions = f" Restrictions: {card.restrictions}." if card.restrictions else ""
        lines.append(f"- {card.title} ({use}). Licence: {card.licence or 'none stated'}.{restrictions} {card.citation}")
    lines += ["", "## Use", "", "```python", "import myoflow as mf", "", _load(config), "```", ""]
    lines += [
        "`config.json` says which filters and scales stand before the network, and in which order labels come.",
        "",
    ]
    return "\n".join(lines)


def _about(recipe: Recipe, config: Mapping[str, Any]) -> str:
    return (
        f"{config['parameters']:,} parameters, trained with myoflow {myoflow.__version__} by recipe `{recipe.name}` "
        f"(digest {config['digest']}). The architecture follows TinyMyo (arXiv 2512.15729); these are not its released "
        "weights, nor derived from them unless a licence below says so."
    )


def _protocol(recipe: Recipe, metrics: Mapping[str, Any]) -> str:
    split = metrics["split"][0]
    units = "; ".join(f"{part} {', '.join(map(str, split[part])) or 'none'}" for part in ("train", "valid", "test"))
    more = f", first of {len(metrics['split'])} folds" if len(metrics["split"]) > 1 else ""
    share = f" Trained on {100 * recipe.data.share:g} % of the labelled executions." if recipe.data.share < 1 else ""
    tested = f"{metrics['windows']} test windows of {len(metrics['subjects'])} subjects"
    return f"{recipe.protocol}, split by {recipe.data.split.by}{more}: {units}. {tested}.{share}"


def _load(config: Mapping[str, Any]) -> str:
    sizes = dict(zip(config["input"]["dims"], config["input"]["sizes"], strict=True))
    patch: dict[str, Any] = next((stage for stage in config["stages"] if stage["stage"] == ENCODER), {})
    samples = sizes.get("time") or (sizes.get("patch") or 1) * (sizes.get("feature") or 1)
    return (
        f'model = mf.load_model("model.safetensors", channels={sizes.get("channel")}, samples={samples}, '
        f'positions="{patch.get("positions", "rotary")}", heads={patch.get("heads")})'
    )
