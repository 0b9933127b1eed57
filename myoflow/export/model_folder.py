"""Model folder: a run's weights for others, as safetensors with a config and a model card, as model hubs have it."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
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
from myoflow.weights import begun, run_of

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
        "output": {"dims": network.output.dims, "sizes": network.output.sizes},
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


def datasets_of(recipe: Recipe, began: Sequence[str]) -> dict[str, str]:
    """Every dataset that weights have seen, with what it was used for; of the trainings that theirs `began` with, too,
    where these are known."""
    from myoflow.recipe import load

    use = "trained and tested on"
    found = {recipe.data.dataset: use}
    for name, also in recipe.data.also.items():
        found.setdefault(also.dataset or name, use)
    for run in filter(None, map(run_of, began)):
        earlier = load(run / "recipe.yaml")
        kind = "pre-trained" if earlier.train.task.name == "pretrain" else "trained before"
        for dataset, text in datasets_of(earlier, begun(earlier)).items():
            found.setdefault(dataset, f"the encoder was {kind} on" if text == use else text)
    return found


def strangers(began: Sequence[str]) -> list[str]:
    """Weights among those that a training began with, or an earlier one, of which nobody here knows the origin."""
    from myoflow.recipe import load

    found = []
    for weights in began:
        run = run_of(weights)
        found += [weights] if run is None else strangers(begun(load(run / "recipe.yaml")))
    return list(dict.fromkeys(found))


def model_card(recipe: Recipe, metrics: Mapping[str, Any], model: str, config: Mapping[str, Any]) -> str:
    """README.md: front matter that hubs read, then protocol, scores, licences and how to load."""
    began = begun(recipe, [stage.get("weights") for stage in config["stages"]])
    used, others = datasets_of(recipe, began), strangers(began)
    scores = metrics["models"][model]["metrics"]
    audit = [f"- Leak: {row['text']}" for row in metrics.get("audit", ()) if row["leak"]]
    lines = ["---", _front(recipe, scores, used), "---", "", f"# {recipe.title or recipe.name}", ""]
    lines += [_about(recipe, config, others), "", "## Protocol", "", _protocol(recipe, metrics), ""]
    lines += [*audit, "", "## Scores", ""] if audit else ["## Scores", ""]
    lines += ["| metric | value | 95 % interval |", "|---|---|---|"]
    for name, score in scores.items():
        measure = recipe.train.task.measures[name]
        interval = f"{measure.number(score['low'])} to {measure.number(score['high'])}"
        lines.append(f"| {name.replace('_', ' ')} | {measure.text(score['value'])} | {interval} |")
    lines += ["", "## Data and licences", "", "Weights learned from data are bound by what the data allow.", ""]
    for dataset, use in used.items():
        card = load_card(dataset)
        restrictions = f" Restrictions: {card.restrictions}." if card.restrictions else ""
        lines.append(f"- {card.title} ({use}). Licence: {card.licence or 'none stated'}.{restrictions} {card.citation}")
    for weights in others:
        lines.append(f"- Training began with the weights `{weights}`: their licence and that of their data bind these.")
    lines += ["", "## Use", "", *_load(config), ""]
    lines += [
        "`config.json` says which filters and scales stand before the network, and in which order labels come.",
        "",
    ]
    return "\n".join(lines)


def _front(recipe: Recipe, scores: Mapping[str, Any], used: Iterable[str]) -> str:
    """The front matter, as YAML."""
    results = [
        {"type": name, "value": score["value"], "name": name.replace("_", " "), "verified": False}
        for name, score in scores.items()
        if score["value"] is not None
    ]
    dataset = {"type": recipe.data.dataset, "name": recipe.data.dataset}
    task = {"type": recipe.train.task.name, "name": recipe.title or recipe.name}
    front = {
        "license": "other",
        "license_name": "as-the-data",
        "library_name": "myoflow",
        "tags": ["emg", "electromyography", "biosignals", recipe.train.task.name],
        "datasets": list(used),
        "metrics": [result["type"] for result in results],
        "model-index": [
            {"name": recipe.name, "results": [{"task": task, "dataset": dataset, "metrics": results}]},
        ],
    }
    return emit(front).strip()


def _about(recipe: Recipe, config: Mapping[str, Any], others: Sequence[str]) -> str:
    own = "these are not its released weights, nor derived from them"
    if others:
        own = f"training began with weights from elsewhere, {', '.join(others)}"
    return (
        f"{config['parameters']:,} parameters, trained with myoflow {myoflow.__version__} by recipe `{recipe.name}` "
        f"(digest {config['digest']}). The architecture follows TinyMyo (arXiv 2512.15729); {own}."
    )


def _protocol(recipe: Recipe, metrics: Mapping[str, Any]) -> str:
    split = metrics["split"][0]
    units = "; ".join(f"{part} {', '.join(map(str, split[part])) or 'none'}" for part in ("train", "valid", "test"))
    more = f", first of {len(metrics['split'])} folds" if len(metrics["split"]) > 1 else ""
    share = f" Trained on {100 * recipe.data.share:g} % of the labelled executions." if recipe.data.share < 1 else ""
    tested = f"{metrics['windows']} test windows of {len(metrics['subjects'])} subjects"
    return f"{recipe.protocol}, split by {recipe.data.split.by}{more}: {units}. {tested}.{share}"


def _load(config: Mapping[str, Any]) -> list[str]:
    """How to get the network back from the folder: as a module, where it takes samples and ends in a known head."""
    names = [stage["stage"] for stage in config["stages"]]
    if names[:2] != ["patch", ENCODER] or names[2:] not in (["classify"], ["regress"], ["reconstruct"]):
        return [
            f"The network is {', '.join(names)}. `mf.load_model` reads networks that begin with patches of samples and "
            "end in one head; the tensors of others are in `model.safetensors` by their names, and "
            "`mf.load_run(RUN).pipeline()` is the whole decoder where the run is."
        ]
    sizes = dict(zip(config["input"]["dims"], config["input"]["sizes"], strict=True))
    encoder: dict[str, Any] = config["stages"][1]
    rule = ', rule="subset"' if encoder.get("channels") == "subset" else ""
    return [
        "```python",
        "import myoflow as mf",
        "",
        f'model = mf.load_model("model.safetensors", channels={sizes["channel"]}, samples={sizes["time"]}, '
        f'positions="{encoder["positions"]}", heads={encoder["heads"]}{rule})',
        "```",
    ]
