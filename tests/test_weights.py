"""Weights: a pipeline's learned numbers in one file."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from myoflow import network, weights
from myoflow.engine import Parameters
from myoflow.errors import InputError
from myoflow.spec import Spec
from myoflow.weights import Header

SPEC = Spec.signal(("a", "b"), 200.0, units="uV", labels=("rest", "fist"))


def parameters() -> Parameters:
    return Parameters(
        states={3: {"mean": np.arange(4.0)}, 12: {"scale": np.ones((2, 3))}},
        weights={"tinymyo.blocks.0.norm1.weight": np.arange(3, dtype=np.float32)},
    )


def test_round_trip_with_header(tmp_path: Path) -> None:
    path = tmp_path / "new" / "weights.safetensors"
    weights.save(path, parameters(), Header.of("abc", SPEC, "tinymyo"))
    back, header = weights.load(path)
    assert header.spec() == SPEC
    assert (header.recipe, header.model) == ("abc", "tinymyo")
    np.testing.assert_array_equal(back.states[3]["mean"], np.arange(4.0))
    np.testing.assert_array_equal(back.states[12]["scale"], np.ones((2, 3)))
    assert back.weights["tinymyo.blocks.0.norm1.weight"].dtype == np.float32
    assert [p.name for p in path.parent.iterdir()] == ["weights.safetensors"]


def test_a_number_stays_a_number_and_an_old_runs_vector_of_one_still_fits(tmp_path: Path) -> None:
    norm = torch.nn.BatchNorm1d(3)
    found = {name: tensor.numpy() for name, tensor in norm.state_dict().items()}
    weights.save(tmp_path / "w", Parameters(weights=found), Header.of("abc", SPEC, "x"))
    back = weights.load(tmp_path / "w")[0].weights
    assert back["num_batches_tracked"].shape == ()
    network.load(norm, back)
    network.load(norm, {**back, "num_batches_tracked": np.array([7])})
    assert int(norm.num_batches_tracked) == 7  # type: ignore[arg-type]


def test_the_same_numbers_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        weights.save(tmp_path / name, parameters(), Header.of("abc", SPEC, "tinymyo"))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_errors_say_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no weights at .*has the run finished"):
        weights.load(tmp_path / "none")
    path = tmp_path / "w"
    weights.save(path, parameters(), Header.of("abc", SPEC, "tinymyo"))
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(InputError, match="not a readable safetensors file"):
        weights.load(path)
    save_file({"x": np.ones(1)}, str(path))
    with pytest.raises(InputError, match="was not written by this version of `myoflow run`"):
        weights.load(path)
