"""Tables of a comparison as plain text and Markdown, and its result in one sentence."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.metrics import compare, measures


def text(
    comparison: compare.Comparison, shown: Sequence[str] = measures.DEFAULT, *, digits: int = 3
) -> str:
    """Tables in aligned columns, the verdict, and the difference of each pair."""
    lines = _aligned(_rows(comparison, shown, digits))
    if beside := _beside(comparison, digits):
        lines += ["", *_aligned(beside)]
    return "\n".join(
        [*lines, "", verdict(comparison, digits=digits), *_pairs(comparison, digits), names(shown)]
    )


def markdown(
    comparison: compare.Comparison, shown: Sequence[str] = measures.DEFAULT, *, digits: int = 3
) -> str:
    """The same in Markdown; the best value of each measure is bold."""
    header, *rows = _rows(comparison, shown, digits)
    best = {name: max(run.mean(name) for run in comparison.runs) for name in shown}
    for run, row in zip(comparison.runs, rows):
        for column, name in enumerate(shown, start=1):
            if run.mean(name) == best[name]:
                row[column] = f"**{row[column]}**"
    tables = [_piped([header, *rows])]
    if beside := _beside(comparison, digits):
        tables += ["", _piped(beside)]
    return "\n".join(
        [
            *tables,
            "",
            verdict(comparison, digits=digits),
            "",
            *(f"- {pair}" for pair in _pairs(comparison, digits)),
            "",
            names(shown),
        ]
    )


def verdict(comparison: compare.Comparison, *, digits: int = 3) -> str:
    """Which system is best, by how much, and whether the difference is significant."""
    first, measure = comparison.runs[0], measures.label(comparison.measure)
    score = _decimal(first.mean(comparison.measure), digits)
    if len(comparison.runs) == 1:
        return f"{first.name} reaches {measure} {score} on {comparison.num_queries} queries."
    gap = comparison.differences[0]
    if gap.mean == 0:
        return (
            f"{first.name} and {gap.worse} are level: {measure} {score} each "
            f"on {comparison.num_queries} queries."
        )
    second = _decimal(comparison.runs[1].mean(comparison.measure), digits)
    ahead = f"{measure} {score} against {second} of {gap.worse} on {comparison.num_queries} queries"
    if gap.significant:
        return f"{first.name} wins: {ahead} ({_p(gap.p)})."
    return (
        f"No clear winner: {first.name} is ahead, {ahead}, "
        f"but the difference is not significant ({_p(gap.p)})."
    )


def names(shown: Sequence[str] = measures.DEFAULT) -> str:
    """The ir-measures names of the column titles."""
    renamed = [f"{measures.label(name)} = {name}" for name in shown if measures.label(name) != name]
    return (
        f"ir-measures' names: {', '.join(renamed)}."
        if renamed
        else "Measures are called by ir-measures' names."
    )


def _pairs(comparison: compare.Comparison, digits: int) -> list[str]:
    measure = measures.label(comparison.measure)
    return [
        f"{gap.better} - {gap.worse}: {measure} {gap.mean:+.{digits}f}, "
        f"95 % interval [{gap.low:+.{digits}f}, {gap.high:+.{digits}f}], "
        f"{_p(gap.p)}, {'significant' if gap.significant else 'not significant'} "
        "(paired randomisation test, Holm)"
        for gap in comparison.differences
    ]


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a header and rows; the first column is left-aligned, the others right-aligned."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    justified = [
        [
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths))
        ]
        for row in rows
    ]
    justified.insert(1, ["-" * width for width in widths])
    return ["  ".join(row).rstrip() for row in justified]


def _piped(rows: Sequence[Sequence[str]]) -> str:
    header, *others = rows
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *others]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def _beside(comparison: compare.Comparison, digits: int) -> list[list[str]]:
    """Header and rows of `Run.beside`, "-" for a missing value; empty if no run has any."""
    titles = list(dict.fromkeys(title for run in comparison.runs for title in run.beside))
    cell = lambda run, title: _decimal(run.beside[title], digits) if title in run.beside else "-"
    return (
        [
            ["system", *titles],
            *([run.name, *(cell(run, title) for title in titles)] for run in comparison.runs),
        ]
        if titles
        else []
    )


def _rows(comparison: compare.Comparison, shown: Sequence[str], digits: int) -> list[list[str]]:
    invalid = any(run.invalid_share > 0 for run in comparison.runs)
    header = [
        "system",
        *map(measures.label, shown),
        "fit (s)",
        "queries/s",
        *(["invalid"] if invalid else []),
    ]
    rows = [
        [
            run.name,
            *(_decimal(run.mean(name), digits) for name in shown),
            _number(run.seconds_to_fit),
            _number(run.queries_per_second),
            *([f"{100 * run.invalid_share:.1f} %"] if invalid else []),
        ]
        for run in comparison.runs
    ]
    return [header, *rows]


def _decimal(value: float, digits: int) -> str:
    return f"{value:.{digits}f}"


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def _p(p: float) -> str:
    return "p < .001" if p < 0.001 else f"p = {p:.3f}"
