"""Programs of a system are compiled for a target, measured, and held against its memory."""

import json
import math

import jax
import pytest

from zoo import records
from zoo.accelerators import chips, measure, plan
from zoo.cli import main
from zoo.data import toy

HLO = """
  %a = f32[8,4]{1,0} all-reduce(%b), replica_groups={{0,1}}
  %c = (f32[2]{0}, f32[8]{0}) all-gather-start(%d), dimensions={0}
  %e = f32[8]{0} all-gather-done(%c)
  %f = (bf16[2,3]{1,0}, pred[5]{0}) all-reduce(%g, %h)
"""


@pytest.fixture(scope="module")
def planned():
    return plan.compile_recipe(
        "sasrec", size="tiny", topology="cpu", mesh="data=4,model=2", data=toy.interactions()
    )


def test_collectives_are_counted_with_the_bytes_of_their_results():
    assert measure.collectives_of(HLO) == {
        "all-reduce": (2, 8 * 4 * 4 + 2 * 3 * 2 + 5),
        "all-gather": (1, 8 * 4),
    }


def test_the_training_step_holds_parameters_and_two_moments_on_each_device(planned):
    step = next(program for program in planned.measured if program.name.startswith("train"))
    numbers = 4 * planned.num_parameters  # bytes of one copy
    # model=2 halves what its rules split: between a half and the whole of three copies
    assert 3 * numbers / 2 < step.arguments < 3 * numbers
    assert step.devices == 8 and step.collectives["all-reduce"][1] > 0
    assert step.aliased > 0.9 * step.arguments  # the state is donated


def test_the_answering_program_is_compiled_for_one_device(planned):
    answer = next(program for program in planned.measured if program.name.startswith("answer"))
    assert answer.devices == 1 and answer.collectives == {} and answer.flops > 0


def test_bounds_follow_from_the_rates_of_the_chip():
    chip = chips.Chip("paper", 100, flops=10.0, bandwidth=4.0, interconnect=2.0)
    program = measure.Measured(
        "p", 1, 0.0, 60, 50, 20, 11, 30.0, 8.0, {"all-reduce": (1, 6)}, {}, chip
    )
    assert program.bounds() == {"products": 3.0, "memory": 2.0, "communication": 3.0}
    assert program.memory == 101 and program.fits is False
    assert program.intensity == 30 / 8


def test_meshes_and_topologies_that_do_not_exist_are_refused():
    compiled = lambda **given: plan.compile_recipe("sasrec", size="tiny", **given)
    with pytest.raises(records.DataError, match="over 4 devices, and cpu has 8"):
        compiled(topology="cpu", mesh="data=4")
    with pytest.raises(records.DataError, match="expected v5e:2x4"):
        compiled(topology="v9")
    with pytest.raises(records.DataError, match="there is no program to compile"):
        plan.compile_recipe("popularity", topology="cpu", documents=50)


def test_the_command_prints_the_plan_and_writes_json(tmp_path, capsys):
    file = tmp_path / "plan.json"
    arguments = ["compile", "dpr", "--size", "tiny", "--topology", "cpu", "--documents", "40"]
    assert main.main([*arguments, "--json", str(file)]) == 0
    printed = capsys.readouterr().out
    assert "train: train  (8 devices" in printed and "answer: encode" in printed
    found = json.loads(file.read_text())
    assert found["devices"] == jax.device_count() and found["mesh"] == "data=8"
    assert all(math.isfinite(program["flops"]) for program in found["programs"])
