"""Programs compile for TPU slices on a machine without a TPU; `make test-tpu` runs these."""

import pytest

pytest.importorskip("libtpu", reason="needs libtpu, no TPU: make test-tpu")

from zoo.accelerators import plan

pytestmark = pytest.mark.slow
BFLOAT16 = {"dtype": "bfloat16"}


@pytest.mark.parametrize(
    ("recipe", "size", "topology", "mesh", "options"),
    (
        ("sasrec", "tiny", "v6e:2x2", "data=4", {}),
        ("dpr", "tiny", "v5p:2x2x1", "data=4", {}),
        ("dsi", "tiny", "v5e:4x8", "data=4,fsdp=4,model=2", {"batch": 64}),
        ("tiger", "paper", "v5e:2x4", "data=4,model=2", BFLOAT16),
        ("dsi", "base", "v5e:2x4", "data=8", BFLOAT16),
    ),
)
def test_training_and_answering_compile_and_fit(recipe, size, topology, mesh, options):
    found = plan.compile_recipe(recipe, size=size, topology=topology, mesh=mesh, options=options)
    assert found.fits
    names = {program.name.split(":")[0] for program in found.measured}
    assert names == {"train", "answer"}
    for program in found.measured:
        assert 0 < program.memory < program.chip.memory and program.flops > 0
        assert program.hostile["float64"] == program.hostile["host callback"] == 0
