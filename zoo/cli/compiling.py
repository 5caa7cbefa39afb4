"""The command `zoo compile`."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from zoo import recipes
from zoo.cli import flags, systems

DOES_NOT_FIT = 1  # exit code


def compile_command(commands: Any) -> None:
    added = flags.command(
        commands,
        "compile",
        "whether a system fits an accelerator that need not be here, and what limits it there",
        "zoo compile dsi --size base --topology v5e:2x4 --mesh data=8 --set dtype=bfloat16",
        compile_system,
    )
    added.add_argument("recipe", metavar="RECIPE", help=", ".join(recipes.names()))
    added.add_argument(
        "--topology",
        required=True,
        metavar="NAME",
        help="TPU slice, as v5e:2x4, v5p:2x2x1 or v6e:2x2 (needs pip install 'jax[tpu]', and no "
        "TPU); gpu or cpu: the devices of this machine",
    )
    added.add_argument(
        "--size", default="base", choices=recipes.SIZES, help="preset (default: base)"
    )
    flags.settings(added, "change an option of the preset; repeatable")
    flags.data(added, required=False)
    added.add_argument(
        "--documents",
        type=int,
        default=2000,
        help="of the synthetic collection that stands in for --data (default: 2000)",
    )
    added.add_argument(
        "--queries", type=int, default=8, help="that are answered together (default: 8)"
    )
    flags.seed(added)
    added.add_argument("--json", metavar="FILE", help="write everything that was found there too")
    systems.execution_flags(
        added.add_argument_group("execution, as for zoo fit"), systems.EXECUTION_OF_PROGRAMS
    )


def compile_system(parsed: argparse.Namespace) -> None:
    """Prints the plan; exits with 1 if it does not fit."""
    from zoo.accelerators import plan
    from zoo.api import inputs
    from zoo.data import atomic
    from zoo.train import execution

    data = None if parsed.data is None else inputs.load_data(parsed.data)
    chosen = {name: getattr(parsed, name) for name in systems.EXECUTION_OF_PROGRAMS}
    mesh = chosen.pop("mesh")
    found = plan.compile_recipe(
        parsed.recipe,
        size=parsed.size,
        topology=parsed.topology,
        mesh=mesh,
        options=flags.options_of(parsed),
        data=data,
        documents=parsed.documents,
        queries=parsed.queries,
        execution=execution.Execution(**chosen),
        seed=parsed.seed,
    )
    print("\n".join(plan.lines(found)))
    if parsed.json is not None:
        with atomic.file(parsed.json) as file:
            json.dump(found.record(), file, indent=1)
            file.write("\n")
    if not found.fits:
        sys.exit(DOES_NOT_FIT)
