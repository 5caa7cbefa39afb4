"""t5x trains, evaluates and queries an exported system, if installed.

`make test-t5x DIR=CHECKOUT`. Each run is a separate process, like a user's, without a network.
"""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import zoo
from zoo import records
from zoo.exchange import exported
from zoo.train import t5x_layout

ROOT = pathlib.Path(__file__).parents[2]
BEAM = 8
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        any(importlib.util.find_spec(name) is None for name in ("t5x", "seqio", "tensorflow")),
        reason="t5x is not installed; make test-t5x DIR=CHECKOUT installs what it needs",
    ),
]
STAND_INS = {  # for `python -m t5x.train` without zoo.launch
    "airio/__init__.py": "",
    "airio/core.py": "class DatasetProviderBase: pass\nclass Task: pass\n"
    "class Mixture: pass\nclass AirIODatasetIterator: pass\n",
    "jestimator/__init__.py": "",
    "jestimator/amos.py": "from typing import NamedTuple\n"
    "class ScaleByAmosState(NamedTuple): pass\namos = None\n",
    "jestimator/amos_helper.py": "state_partition_rule = None\n",
}


def start(*command, devices=1, path=()):
    """Runs `python -m ...` in the repository; returns the output, or fails with its last lines."""
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={devices}"
    environment["PYTHONPATH"] = os.pathsep.join(
        filter(None, (str(ROOT), os.environ.get("PYTHONPATH"), *map(str, path)))
    )
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, env=environment, text=True, capture_output=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


def bound(**values):
    """Flags --gin.NAME=VALUE."""
    return [f"--gin.{name}={json.dumps(value)}" for name, value in values.items()]


def metrics_of(folder):
    (path,) = folder.rglob("*-metrics.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def answers_of(folder):
    """[(document, score), ...] per query."""
    (path,) = (
        path
        for path in folder.iterdir()
        if "predict_with_aux" in path.name and not path.name.endswith("COMPLETED")
    )
    return {
        line["_id"]: [tuple(answer) for answer in line["answers"]]
        for line in map(json.loads, path.read_text().splitlines())
    }


def check_same_answers(fitted, asked, answers):
    """Checks that t5x's answers are the system's, with scores equal up to float32 rounding."""
    system = zoo.with_options(fitted, {"beam": BEAM})
    ranking = zoo.retrieve(system, records.Queries(asked.ids, asked.texts), k=BEAM)
    assert list(answers) == list(asked.ids)
    for row, theirs in enumerate(answers.values()):
        ours = ranking.answers(row)
        assert [name for name, _ in theirs] == [name for name, _ in ours]
        # scores of about -10
        np.testing.assert_allclose(
            [score for _, score in theirs], [score for _, score in ours], atol=1e-4
        )


@pytest.fixture(scope="module")
def model(tmp_path_factory, export):
    """MODEL_DIR of twelve steps of configs/dsi_small.gin, on two devices."""
    folder = tmp_path_factory.mktemp("t5x") / "model"
    small = bound(
        TRAIN_STEPS=12,
        BATCH_SIZE=16,
        BEAM=BEAM,
        WARMUP_STEPS=2,
        EVAL_PERIOD=6,
        EVAL_STEPS=1,
        EVAL_EXAMPLES=16,
        SAVE_PERIOD=6,
    )
    start(
        "zoo.launch",
        "train",
        "--gin_file=configs/dsi_small.gin",
        *bound(D=str(export), MODEL_DIR=str(folder)),
        *small,
        devices=2,
    )
    return folder


@pytest.fixture(scope="module")
def imported(model, export, tmp_path_factory):
    return zoo.import_checkpoint(export, model, tmp_path_factory.mktemp("imported") / "run")


def test_training_saves_and_measures_by_constrained_decoding(model):
    assert {path.name for path in model.glob("checkpoint_*")} == {
        "checkpoint_0",
        "checkpoint_6",
        "checkpoint_12",
    }
    measured = metrics_of(model)
    assert [entry["step"] for entry in measured] == [6, 12]
    for entry in measured:
        assert (
            0 <= entry["hits@1"] <= entry["hits@5"] <= 1 and entry["hits@1"] <= entry["mrr@10"] <= 1
        )


def test_a_t5x_checkpoint_gives_equal_answers_in_the_zoo_and_in_t5x(
    imported, model, export, tmp_path
):
    files = ["--gin_file=configs/models/dsi_small.gin", "--gin_file=configs/runs/infer.gin"]
    places = bound(
        D=str(export),
        CHECKPOINT_PATH=str(model / "checkpoint_12"),
        INFER_OUTPUT_DIR=str(tmp_path),
        BEAM=BEAM,
    )
    start("zoo.launch", "infer", *files, *places)
    assert imported.config.width == 128, (
        "the network is that of the configuration, not that of the export"
    )
    check_same_answers(imported, exported.read(export).questions("test"), answers_of(tmp_path))


def test_t5x_eval_gives_the_metrics_of_the_zoo(run, export, collection, tmp_path):
    files = ["--gin_file=configs/models/encoder_decoder.gin", "--gin_file=configs/runs/eval.gin"]
    checkpoint = export / exported.read(export).about["checkpoint"]
    start(
        "zoo.launch",
        "eval",
        *files,
        *bound(
            D=str(export), CHECKPOINT_PATH=str(checkpoint), EVAL_OUTPUT_DIR=str(tmp_path), BEAM=BEAM
        ),
    )
    (measured,) = metrics_of(tmp_path)
    asked = exported.read(export).questions("test")
    ranking = zoo.retrieve(
        zoo.with_options(zoo.load(run), {"beam": BEAM}),
        records.Queries(asked.ids, asked.texts),
        k=BEAM,
    )
    hits = np.mean(
        [ranking.documents[row, 0] in asked.relevant[row] for row in range(len(asked.ids))]
    )
    assert measured["hits@1"] == pytest.approx(hits)


def test_parameters_of_the_zoo_start_a_run_of_plain_t5x(export, tmp_path):
    """Two steps with a tiny learning rate: the saved parameters equal the initial ones."""
    for name, text in STAND_INS.items():
        (tmp_path / "stand_ins" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "stand_ins" / name).write_text(text)
    files = ["encoder_decoder", "adamw"]
    files = [f"--gin_file=configs/models/{name}.gin" for name in files] + [
        "--gin_file=configs/runs/finetune.gin"
    ]
    begin = str(export / exported.read(export).about["checkpoint"])
    places = bound(
        D=str(export),
        MODEL_DIR=str(tmp_path / "model"),
        INITIAL_CHECKPOINT_PATH=begin,
        TRAIN_STEPS=2,
        WARMUP_STEPS=1,
        BATCH_SIZE=16,
    )
    quiet = bound(
        BEAM=2, EVAL_PERIOD=2, EVAL_STEPS=1, EVAL_EXAMPLES=2, SAVE_PERIOD=2, LEARNING_RATE=1e-9
    )
    start("t5x.train", *files, *places, *quiet, path=[tmp_path / "stand_ins"])
    ours, _, _ = t5x_layout.load(begin)
    theirs, step, _ = t5x_layout.load(tmp_path / "model")
    assert step == 2
    for name in ("source_embedding", "target_embedding"):
        # two steps of rate 1e-9
        np.testing.assert_allclose(ours[name]["embedding"], theirs[name]["embedding"], atol=1e-6)
