"""The command line: `python -m theory`, installed as `theory`."""

from __future__ import annotations

import argparse
import csv
import itertools
import os
import pathlib
import sys
from collections.abc import Callable, Sequence

BAD_INPUT, FAILED, INTERRUPTED = 2, 1, 130  # exit codes


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit status.

    0, FAILED if a claim did not pass, BAD_INPUT after one line on stderr, or INTERRUPTED.
    """
    parsed = _parser().parse_args(arguments)
    try:
        return parsed.run(parsed)
    except BrokenPipeError:  # the reader has seen enough, as in `theory list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, OSError) as error:
        print(f"theory: {' '.join(str(error).split())}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("theory: interrupted", file=sys.stderr)
        return INTERRUPTED


def _list(parsed: argparse.Namespace) -> int:
    from theory import claims

    for name in claims.names():
        claim = claims.get(name)
        print(f"{name:<19} {claim.title}\n{'':<19} {claim.source}")
    return 0


def _check(parsed: argparse.Namespace) -> int:
    import jax

    from theory import claims, report

    chosen = claims.names() if parsed.name == "all" else (parsed.name,)
    checks = []
    for name in chosen:
        check = claims.check(
            claims.get(name), jax.random.key(parsed.seed), n=parsed.n, quick=parsed.quick
        )
        checks.append(check)
        claim = check.claim
        print(f"{'PASS' if check.passed else 'FAIL'}  {name}: {claim.statement}")
        for row in check.rows:
            power = "control rejected" if row.rejects else "CONTROL ACCEPTED"
            tight = "" if row.tight else "; NOT AS TIGHT AS STATED"
            print(
                f"  {'ok ' if row.holds else 'NOT'} {report.case(row.params)}: predicted "
                f"{report.number(row.predicted)}, measured {report.measured(row.found)} "
                f"({report.relation(claim)}); {power}; resolution {row.resolution:.1g}{tight}"
            )
        for line in check.limits:
            print(f"  limit: {line}")
    failed = [check.claim.name for check in checks if not check.passed]
    if len(checks) > 1:
        print(
            f"{len(checks) - len(failed)} of {len(checks)} claims pass"
            + (f"; failed: {', '.join(failed)}" if failed else "")
        )
    return FAILED if failed else 0


def _sweep(parsed: argparse.Namespace) -> int:
    import jax
    import numpy as np

    from theory import claims, plots
    from zoo.data import atomic

    claim = claims.get(parsed.name)
    if not 0 <= parsed.case < len(claim.cases):
        raise ValueError(f"--case: expected 0 .. {len(claim.cases) - 1}, got {parsed.case}")
    base = dict(claim.cases[parsed.case])
    grid = _grid(parsed.grid, base)
    rows, misses = [], []
    for number, setting in enumerate(itertools.product(*grid.values())):
        params = base | dict(zip(grid, setting))
        key = jax.random.fold_in(jax.random.key(parsed.seed), number)
        predicted = np.atleast_1d(np.asarray(claim.predict(params), np.float64))
        found = claim.measure(key, params, parsed.n or claim.quick)
        misses.append(claims.miss(claim, predicted, found))
        columns = predicted, np.atleast_1d(found.mean), np.atleast_1d(found.stderr)
        for step, values in enumerate(zip(*columns, strict=True)):
            entry = {"step": step} if len(predicted) > 1 else {}
            measured = dict(zip(("predicted", "measured", "stderr"), map(float, values)))
            rows.append(dict(zip(grid, setting)) | entry | measured)
    folder = pathlib.Path(parsed.out)
    folder.mkdir(parents=True, exist_ok=True)
    with atomic.file(folder / f"{parsed.name}.csv") as out:
        writer = csv.DictWriter(out, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    failed = sum(value > 0 for value in misses)
    verdict = f"PASS at all {len(misses)} points"
    if failed:
        verdict = f"FAIL at {failed} of {len(misses)} points, by up to {100 * max(misses):.3g} %"
    title = f"{parsed.name} ({claim.relation if isinstance(claim.relation, str) else 'mixed'})"
    plots.sweep(rows, next(iter(grid)), f"{title}: {verdict}", folder / f"{parsed.name}.png")
    print(
        f"{folder / parsed.name}.csv and .png: {len(rows)} rows over {', '.join(grid)}; {verdict}"
    )
    return 0


def _grid(texts: Sequence[str], base: dict) -> dict[str, list]:
    """Values of each swept parameter, in the types of the case."""
    grid = {}
    for text in texts:
        name, equals, values = text.partition("=")
        if not equals or name not in base:
            raise ValueError(
                f"--grid: expected key=value,value,... with a key of {', '.join(base)}, "
                f"got {text!r}"
            )
        grid[name] = [_like(base[name], value) for value in values.split(",")]
    return grid


def _report(parsed: argparse.Namespace) -> int:
    import jax

    from theory import report

    path, passed = report.write(
        parsed.out,
        jax.random.key(parsed.seed),
        names=parsed.claims,
        quick=not parsed.full,
        fitted=parsed.fitted,
        data=parsed.data,
    )
    print(f"{path}: {'all claims pass' if passed else 'A CLAIM FAILED'}")
    return 0 if passed else FAILED


def _explain(parsed: argparse.Namespace) -> int:
    from theory import explain

    lines = explain.of_folder(
        parsed.folder,
        parsed.scores,
        data=parsed.data,
        queries=parsed.queries,
        relevant=parsed.relevant,
        keeps=parsed.keep or explain.SHARES,
        recalls=parsed.recall or explain.RECALLS,
    )
    print("\n".join(lines))
    return 0


def _like(example, text: str):
    """Text converted to the type of an example."""
    if isinstance(example, tuple):
        raise ValueError("--grid: a list of parameters cannot be swept; start from another --case")
    try:
        return (
            type(example)(float(text))
            if isinstance(example, (int, float)) and not isinstance(example, bool)
            else type(example)(text)
        )
    except ValueError:
        raise ValueError(
            f"--grid: expected {type(example).__name__} like {example!r}, got {text!r}"
        ) from None


class _Parser(argparse.ArgumentParser):
    """Reports errors in one line, without the usage."""

    def error(self, message: str):
        self.exit(BAD_INPUT, f"{self.prog}: {' '.join(message.split())}; see {self.prog} --help\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="theory", description="The theorems of constrained generative retrieval, checked."
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(run: Callable, about: str, example: str) -> argparse.ArgumentParser:
        added = commands.add_parser(
            run.__name__.removeprefix("_"),
            help=about,
            description=about,
            epilog=f"example:\n  python -m theory {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        added.set_defaults(run=run)
        return added

    command(_list, "the claims and their sources", "list")
    _check_options(command(_check, "measure a claim: agreement, power, limits", "check sharp_law"))
    _sweep_options(
        command(
            _sweep,
            "predictions and measurements over a grid, as CSV and PNG",
            "sweep closed_forms --grid snr=0,1,2,3 width=5,10 --out sweeps",
        )
    )
    _report_options(command(_report, "one HTML page of all claims", "report --out report"))
    _explain_options(
        command(
            _explain,
            "what the theorems predict for a fitted system",
            "explain runs/dsi --keep 0.5 --recall 0.9",
        )
    )
    return parser


def _check_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME|all")
    parser.add_argument("--quick", action="store_true", help="fewer draws")
    parser.add_argument("--n", type=int, help="draws per case")
    parser.add_argument("--seed", type=int, default=0)


def _sweep_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME")
    parser.add_argument(
        "--grid",
        nargs="+",
        required=True,
        metavar="KEY=A,B,...",
        help="values of a parameter of the claim's cases",
    )
    parser.add_argument(
        "--case",
        type=int,
        default=0,
        help="the case with the other parameters (default: 0, the first)",
    )
    parser.add_argument("--n", type=int, help="draws per point")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", required=True, metavar="DIR")


def _report_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", required=True, metavar="DIR")
    parser.add_argument("--claims", nargs="*", default=[], metavar="NAME", help="only these claims")
    parser.add_argument("--full", action="store_true", help="the draws of a full check")
    parser.add_argument(
        "--fitted", metavar="DIR", help="folder of a fitted system whose law ends the page"
    )
    parser.add_argument(
        "--data", metavar="NAME|PATH", help="its collection, for queries; titles without it"
    )
    parser.add_argument("--seed", type=int, default=0)


def _explain_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="DIR", help="folder that `zoo fit --out` wrote")
    parser.add_argument(
        "--data", metavar="NAME|PATH", help="collection whose dev queries are asked, else titles"
    )
    parser.add_argument("--queries", type=int, default=16, help="number of queries (default: 16)")
    parser.add_argument(
        "--scores",
        metavar="FILE.npy",
        help="relevance of each document, f[N], in place of the network's",
    )
    parser.add_argument(
        "--relevant", type=int, default=10, help="relevant documents per query (default: 10)"
    )
    parser.add_argument(
        "--keep", type=float, action="append", help="share of documents that stay; repeatable"
    )
    parser.add_argument(
        "--recall", type=float, action="append", help="wanted recall, with --scores; repeatable"
    )
