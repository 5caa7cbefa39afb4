"""The commands `zoo report`, `zoo export`, `zoo import` and `zoo demo`."""

from __future__ import annotations

import argparse
from typing import Any

from zoo.cli import flags


def report_command(commands: Any) -> None:
    added = flags.command(
        commands,
        "report",
        "one HTML page of a fitted system: training, identifiers, results, baselines, answers",
        "zoo report runs/tiger --split test --out tiger.html",
        report,
    )
    flags.folder(added)
    flags.fitted_data(added)
    added.add_argument("--split", help="split to evaluate (default: dev)")
    added.add_argument("--out", metavar="FILE.html", help="the page (default: DIR/report.html)")


def report(parsed: argparse.Namespace) -> None:
    """Writes the page and prints where it is."""
    from zoo.report import run

    print(run.write_report(parsed.folder, parsed.data, out=parsed.out, split=parsed.split))


def export_command(commands: Any) -> None:
    added = flags.command(
        commands,
        "export",
        "write a fitted system for t5x to train, or as a StableHLO program that answers",
        "zoo export runs/dsi --out exports/dsi",
        export,
    )
    flags.folder(added)
    flags.fitted_data(added)
    flags.out(added)
    added.add_argument(
        "--format",
        choices=("t5x", "stablehlo"),
        default="t5x",
        help="t5x: identifiers, trie, examples and parameters; stablehlo: a program for CPU, CUDA "
        "and TPU that needs JAX alone (default: t5x)",
    )
    added.add_argument(
        "--batch", type=int, default=8, help="queries of the stablehlo program (default: 8)"
    )
    added.add_argument("-k", type=int, default=10, help="answers of it (default: 10)")


def export(parsed: argparse.Namespace) -> None:
    """Writes an export and prints what it holds."""
    if parsed.format == "stablehlo":
        from zoo.accelerators import stablehlo

        program = stablehlo.export(parsed.folder, parsed.out, batch=parsed.batch, k=parsed.k)
        print(
            f"{parsed.out}: a program of {program['recipe']} for {program['batch']} queries on "
            f"{', '.join(program['platforms'])}; python {parsed.out}/run.py runs its example"
        )
        return
    from zoo.exchange import exported, transfer

    about = exported.read(transfer.export(parsed.folder, parsed.out, parsed.data)).about
    examples = ", ".join(f"{kind['count']:,} {name}" for name, kind in about["examples"].items())
    questions = ", ".join(f"{count:,} {name}" for name, count in about["questions"].items())
    print(
        f"{parsed.out}: {about['documents']:,} identifiers of {about['recipe']}; "
        f"examples: {examples}; questions: {questions or 'none'}"
    )


def import_command(commands: Any) -> None:
    added = flags.command(
        commands,
        "import",
        "make a fitted system of an export and a checkpoint that t5x wrote",
        "zoo import exports/dsi --checkpoint runs/dsi-t5x --out runs/dsi-back",
        import_,
    )
    added.add_argument("folder", metavar="EXPORT", help="a folder that `zoo export` wrote")
    added.add_argument(
        "--checkpoint",
        required=True,
        metavar="DIR",
        help="a checkpoint_STEP, or a MODEL_DIR, whose last checkpoint is read",
    )
    flags.out(added)


def import_(parsed: argparse.Namespace) -> None:
    """Writes a fitted system with the parameters of a checkpoint."""
    from zoo.exchange import transfer

    fitted = transfer.import_checkpoint(parsed.folder, parsed.checkpoint, parsed.out)
    about = fitted.about
    print(
        f"{parsed.out}: {fitted.name} with {about['parameters']:,} parameters of step "
        f"{about['step']} of {about['checkpoint']}"
    )


def demo_command(commands: Any) -> None:
    added = flags.command(
        commands, "demo", "DSI and BM25 on the documentation of this Python", "zoo demo", demo
    )
    added.add_argument(
        "--out",
        default="demo",
        metavar="DIR",
        help="folder for systems, tables and plots (default: demo)",
    )
    flags.seed(added)


def demo(parsed: argparse.Namespace) -> None:
    """Runs the demonstration."""
    from zoo.cli import demo as demonstration

    demonstration.run(parsed.out, seed=parsed.seed)
