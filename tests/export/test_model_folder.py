"""A run's weights as a folder for others: the same outputs when loaded, and a card that says what is allowed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from ruamel.yaml import YAML

import myoflow as mf
from myoflow.errors import InputError
from myoflow.network import trained
from myoflow.recipe import load
from myoflow.run import run_recipe

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory):
    import os

    folder = tmp_path_factory.mktemp("export")
    text = tiny.RECIPE.replace("layers: 1,", "layers: 1, adapt: lora, rank: 2,").replace("  - vote: {span: 3}\n", "")
    tiny.write(folder, text)
    before = Path.cwd()
    os.chdir(folder)
    yield run_recipe(load("tiny_run.yaml", ["train.epochs=1", "train.seeds=[0]"]), out=folder / "run")
    os.chdir(before)


def test_the_folder_loads_as_the_network_that_was_trained(run, tmp_path: Path) -> None:
    folder = run.export_folder(tmp_path / "model")
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    model = mf.load_model(folder, channels=8, samples=40, heads=1)
    _, network, parameters = run._network("tinymyo", run.recipe)
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((3, 8, 40)).astype(np.float32))
    with torch.no_grad():
        assert torch.allclose(model(x), trained(network, parameters.weights)(x), atol=1e-5)


def test_the_card_tells_protocol_scores_and_licences(run, tmp_path: Path) -> None:
    card = (run.export_folder(tmp_path / "model") / "README.md").read_text()
    front = YAML(typ="safe").load(card.split("---")[1])
    assert front["library_name"] == "myoflow" and front["datasets"] == ["tiny"]
    results = front["model-index"][0]["results"][0]["metrics"]
    value = run.metrics["models"]["tinymyo"]["metrics"]["accuracy"]["value"]
    assert {"type": "accuracy", "value": value, "name": "accuracy", "verified": False} in results
    for words in ("split by subject: train 01, 02; valid 03; test 04", "Licence: Apache-2.0", "A tiny simulation"):
        assert words in card
    code = card.split("```python")[1].split("```")[0].replace("model.safetensors", str(tmp_path / "model"))
    exec(code, {})


def test_a_folder_in_use_and_a_model_without_a_network_are_refused(run, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.txt").write_text("x")
    with pytest.raises(InputError, match="is in use"):
        run.export_folder(tmp_path / "model")
    with pytest.raises(InputError, match="no network to export"):
        run.export_folder(tmp_path / "other", "lda")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]
