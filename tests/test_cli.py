"""The command line: verbs, exit codes, one line per error, speed."""

import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny

ROOT = Path(__file__).parent.parent
Verb = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def myoflow(tmp_path: Path) -> Verb:
    """Calls `python -m myoflow` in an empty folder."""

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        env = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
            "COLUMNS": "120",
            "CUDA_VISIBLE_DEVICES": "",
        }
        for name in ("MYOFLOW_DATA", "MYOFLOW_CACHE"):
            env.pop(name, None)
        command = [sys.executable, "-m", "myoflow", *words]
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)

    return call


def test_run_check_info_and_resume(myoflow: Verb, tmp_path: Path) -> None:
    tiny.write(tmp_path)
    done = myoflow("run", "tiny_run.yaml", "train.seeds=[0]", "--out", "out")
    assert done.returncode == 0, done.stderr
    assert "tinymyo - lda" in done.stdout
    assert "protocol strict" in done.stdout
    assert "out/report.html" in done.stdout
    again = myoflow("run", "--resume", "out")
    assert again.returncode == 0, again.stderr
    assert "training windows" not in again.stderr, "what is done is not done again"
    info = myoflow("info", "data/tiny.zarr", "--verify")
    assert info.returncode == 0, info.stderr
    assert "flexion" in info.stdout
    assert "4 recordings verified, none damaged" in info.stdout
    chunk = next(p for p in (tmp_path / "data" / "tiny.zarr" / "sub-02").rglob("c/*/*") if p.is_file())
    chunk.write_bytes(chunk.read_bytes()[:-1] + b"x")
    damaged = myoflow("info", "data/tiny.zarr", "--verify")
    assert damaged.returncode == 1
    assert "sub-02" in damaged.stderr


def test_the_version_is_that_of_the_package(myoflow: Verb) -> None:
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    done = myoflow("--version")
    assert (done.returncode, done.stdout) == (0, f"myoflow {told}\n")


def test_a_mistyped_path_runs_no_shipped_recipe(myoflow: Verb, tmp_path: Path) -> None:
    for verb in ("run", "check", "bench", "stream", "cp"):
        done = myoflow(verb, "quickstart.yml")
        assert done.returncode == 2, verb
        assert done.stderr == "there is no file quickstart.yml; the recipe of that name is called 'quickstart'\n"
    assert not any(tmp_path.iterdir())


def test_check_says_which_backend_is_not_here(myoflow: Verb, tmp_path: Path) -> None:
    (tmp_path / "backends").mkdir()
    (tmp_path / "backends" / "eight.yaml").write_text("engine: torch\nprecision: int8\ntolerance: 0.1\n")
    plan = myoflow("check", "quickstart", "pipeline.tinymyo.backend=eight")
    assert plan.returncode == 0, plan.stderr
    told = " ".join(plan.stdout.split())
    assert "eight cannot run on this machine: torch runs in float32 or bf16; for int8 use onnx-int8" in told


def test_check_prints_the_plan_without_torch(myoflow: Verb) -> None:
    plan = myoflow("check", "gestures_uci")
    assert plan.returncode == 0, plan.stderr
    for word in ("highpass", "channel 8", "delay", "parameters", "uci_emg", "streams: yes"):
        assert word in plan.stdout
    code = (
        "import sys; from myoflow.models import plan_recipe; from myoflow.recipe import load\n"
        "plan_recipe(load('gestures_uci')); print('torch' in sys.modules)"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    found = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert found.stdout.strip() == "False", found.stderr


@pytest.mark.parametrize("shelf", ["stages", "datasets", "backends", "recipes"])
def test_list_names_everything_once(myoflow: Verb, shelf: str) -> None:
    listed = myoflow("list", shelf)
    assert listed.returncode == 0, listed.stderr
    name = {"stages": "bandpass", "datasets": "uci_emg", "backends": "torch", "recipes": "quickstart"}[shelf]
    assert sum(line.split()[:1] == [name] for line in listed.stdout.splitlines()) == 1


def test_a_list_gives_whole_sentences(myoflow: Verb) -> None:
    listed = myoflow("list", "sinks")
    assert listed.returncode == 0, listed.stderr
    assert "`NAME-decisions`, one text a window." in " ".join(listed.stdout.split())


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("bandpass", ["runs on: host", "low", "a frequency such as '20 Hz'", "required", "order", "4"]),
        ("uci_emg", ["licence", "CC BY 4.0", "Lobov", "rate"]),
        ("quickstart", ["simulated_gestures", "tinymyo"]),
        ("torch", ["engine"]),
    ],
)
def test_show(myoflow: Verb, name: str, words: list[str]) -> None:
    shown = myoflow("show", name)
    assert shown.returncode == 0, shown.stderr
    for word in words:
        assert word in shown.stdout


def test_cp_makes_a_copy_that_wins_and_never_overwrites(myoflow: Verb, tmp_path: Path) -> None:
    assert myoflow("cp", "quickstart").returncode == 0
    copy = tmp_path / "recipes" / "quickstart.yaml"
    assert copy.read_text() == (ROOT / "recipes" / "quickstart.yaml").read_text()
    copy.write_text(copy.read_text().replace("order", "order") + "nonsense: 1\n")
    assert "nonsense" in myoflow("check", "quickstart").stderr
    second = myoflow("cp", "quickstart")
    assert (second.returncode, "exists already" in second.stderr) == (2, True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("check", "nothing"), "there is no recipe 'nothing'"),
        (("check", "quickstar"), "did you mean 'quickstart'?"),
        (("check", "quickstart", "train.lrr=1"), "did you mean 'lr'?"),
        (("check", "quickstart", "--backend", "tpu"), "there is no backend 'tpu'"),
        (("run",), "give a recipe to run, or --resume RUN"),
        (("run", "quickstart", "--resume", "x"), "not both"),
        (("run", "--resume", "x"), "x is not a run's folder"),
        (("info", "nowhere.zarr"), "nowhere.zarr"),
        (("check", "/nowhere/recipes/quickstart.yaml"), "there is no file /nowhere/recipes/quickstart.yaml"),
        (("run", "quickstart", "name=../../out"), "'../../out' is no name"),
        (("run", "quickstart", "--backend", "cuda"), "backend 'cuda' cannot run on this machine"),
        (("list", "stage"), "did you mean 'stages'?"),
        (("show", "bandpas"), "did you mean 'bandpass'?"),
        (("convert", "uci_emg"), "uci_emg is converted from raw files"),
        (("convert", "uci_emg", "missing.zip", "s.zarr"), "missing.zip"),
    ],
)
def test_the_users_mistakes_are_one_line_and_exit_code_2(myoflow: Verb, words: tuple[str, ...], message: str) -> None:
    wrong = myoflow(*words)
    assert wrong.returncode == 2, wrong.stderr
    assert message in wrong.stderr
    assert "Traceback" not in wrong.stderr
    assert len(wrong.stderr.strip().splitlines()) == 1


def test_help_is_light() -> None:
    """Nothing heavy is imported for --help: that is what keeps it under 0.3 s of CPU."""
    code = (
        "import sys; sys.argv = ['myoflow', '--help']\n"
        "from myoflow.cli import app\n"
        "try: app()\nexcept SystemExit: pass\n"
        "print(sorted({'numpy', 'torch', 'scipy', 'xarray', 'zarr', 'numba', 'ruamel'} & set(sys.modules)))"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    found = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert "Usage: " in found.stdout
    assert found.stdout.strip().splitlines()[-1] == "[]"


def test_a_failing_disk_is_one_line_and_exit_code_1(myoflow: Verb) -> None:
    wrong = myoflow("run", "quickstart", "--out", "/dev/null/x")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (1, 1), wrong.stderr
    assert "Not a directory" in wrong.stderr


def test_a_terminal_without_our_characters_gets_others(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "myoflow", "check", "quickstart"]
    plain = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert plain.returncode == 0, plain.stderr
    assert "bandpass" in plain.stdout


def test_one_broken_card_does_not_hide_the_others(myoflow: Verb, tmp_path: Path) -> None:
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "bad.yaml").write_bytes(b"title: \xff\n")
    listed = myoflow("list", "datasets")
    assert listed.returncode == 0
    assert "uci_emg" in listed.stdout
    assert "broken" in listed.stdout


def test_schema_is_json(myoflow: Verb) -> None:
    import json

    schema = json.loads(myoflow("schema").stdout)
    assert "bandpass" in json.dumps(schema)
