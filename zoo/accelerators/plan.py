"""Whether a system fits an accelerator, and what would limit it there: `zoo compile`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax

from zoo import recipes, records
from zoo.accelerators import chips, measure, programs
from zoo.data import synthetic
from zoo.train import execution as executions

DOCUMENTS = 2000  # of the synthetic collection
ROWS = ("arguments", "outputs", "temporaries", "memory")


class Plan(NamedTuple):
    """The programs of a system, compiled for a target."""

    recipe: str
    size: str
    target: chips.Target
    mesh: str
    num_parameters: int
    measured: list[measure.Measured]

    @property
    def fits(self) -> bool:
        """Whether no program needs more memory than a device has."""
        return all(program.fits is not False for program in self.measured)

    def record(self) -> dict[str, Any]:
        """JSON of the plan."""
        return {
            "recipe": self.recipe,
            "size": self.size,
            "topology": self.target.name,
            "devices": len(self.target.devices),
            "processes": self.target.processes,
            "mesh": self.mesh,
            "parameters": self.num_parameters,
            "fits": self.fits,
            "jax": jax.__version__,
            "programs": [program.record() for program in self.measured],
        }


def compile_recipe(
    recipe: str,
    *,
    size: str = "base",
    topology: str,
    mesh: str = "",
    options: Mapping[str, Any] | None = None,
    data: records.Collection | records.Interactions | None = None,
    documents: int = DOCUMENTS,
    queries: int = 8,
    execution: executions.Execution = executions.Execution(),
    seed: int = 0,
) -> Plan:
    """Compiles the training steps and the answering programs of a recipe for a topology.

    Args:
      recipe, size, options: as for `zoo.fit`.
      topology: a TPU slice such as "v5e:2x4", which need not be there, or gpu or cpu.
      mesh: as for `zoo.fit`; all devices along data by default.
      data: a collection, whose shapes count; by default `documents` synthetic ones.
      queries: that are answered together.

    Raises DataError for a topology or mesh that does not exist, or that does not fit the system.
    """
    for what, count in (("documents", documents), ("queries", queries)):
        if count < 1:
            raise records.DataError(f"compile: expected 1 or more {what}, got {count}")
    target = chips.target(topology)
    chosen = recipes.get(recipe)
    config = recipes.configure(chosen, size, options or {})
    mesh = mesh or f"data={len(target.devices)}"
    measure.mesh_over(target, mesh)
    if data is None:
        data = (
            synthetic.histories(documents, documents)
            if chosen.asks == "history"
            else synthetic.documents(documents)
        )
    found = programs.of_recipe(
        chosen, config, data, execution=execution, queries=queries, key=jax.random.key(seed)
    )
    if not found.training and not found.answering:
        raise records.DataError(
            f"{recipe}: trains nothing and answers on the host; there is no program to compile"
        )
    compiled = [
        measure.training_step(stage, target, mesh, execution) for stage in found.training
    ] + [measure.answering(call, target) for call in found.answering]
    return Plan(recipe, size, target, mesh, found.num_parameters, compiled)


def lines(plan: Plan) -> list[str]:
    """The plan as text for people."""
    chip = plan.target.chip
    about = "" if chip is None else f" of {chip.memory / chips.GIB:.0f} GiB"
    shown = [
        f"{plan.recipe} {plan.size}, {plan.num_parameters:,} parameters, on {plan.target.name}: "
        f"{len(plan.target.devices)} devices{about}, mesh {plan.mesh}"
    ]
    for program in plan.measured:
        shown += ["", *_program(program)]
    if chip is not None:
        verdict = "fits" if plan.fits else "DOES NOT FIT"
        shown += ["", f"{verdict} {plan.target.name}; bounds are predicted from peak rates"]
    return shown


def _program(program: measure.Measured) -> list[str]:
    shown = [f"{program.name}  ({program.devices} devices, compiled in {program.seconds:.0f} s)"]
    if program.refused:
        return [*shown, f"  the compiler refused it: {program.refused}"]
    sizes = ", ".join(f"{name} {_bytes(getattr(program, name))}" for name in ROWS)
    shown += [
        f"  a device: {sizes}",
        f"  a device: {program.flops / 1e9:,.1f} GFLOP, {program.bytes / 1e9:,.2f} GB, "
        f"{program.intensity:,.1f} FLOP a byte",
    ]
    if program.chip is not None:
        ridge = program.chip.flops / program.chip.bandwidth
        bounds = program.bounds()
        worst = max(bounds, key=lambda name: bounds[name])
        times = ", ".join(f"{name} {seconds * 1e3:.3g} ms" for name, seconds in bounds.items())
        shown.append(f"  at least: {times}; limited by {worst} (ridge {ridge:,.0f} FLOP a byte)")
    if program.collectives:
        sent = ", ".join(
            f"{count} {kind} ({size / 1e6:,.1f} MB)"
            for kind, (count, size) in program.collectives.items()
        )
        shown.append(f"  collectives: {sent}")
    slow = ", ".join(f"{count} {name}" for name, count in program.hostile.items() if count)
    if slow:
        shown.append(f"  slow on accelerators: {slow}")
    return shown


def _bytes(number: float) -> str:
    return f"{number / 2**30:.2f} GiB" if number >= 2**30 / 10 else f"{number / 2**20:.2f} MiB"
