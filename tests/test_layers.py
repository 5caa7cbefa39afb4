"""Packages import only lower layers: compares imports, read with `ast`, with a literal table."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]

# package or module -> packages and modules of ours that its files may import
LEAVES = {"zoo.records", "zoo.options", "zoo.docids", "zoo.nets", "zoo.objectives", "zoo.train"}
TEXTS = {"zoo.data", "zoo.text", "zoo.nets", "zoo.records"}
SCHEMES = {*LEAVES, *TEXTS}
RANKING = {"zoo.docids", "zoo.index", "zoo.search", "zoo.metrics", "zoo.records"}
MODELS = {*SCHEMES, *RANKING, "zoo.schemes", "zoo.ranking"}
UPDATE = {*MODELS, "zoo.models"}
RECIPES = {*UPDATE, "zoo.update"}
API = {*RECIPES, "zoo.recipes"}
REPORT = {*API, "zoo.api"}
ALLOWED = {
    "zoo": {"zoo.api", "zoo.docids", "zoo.exchange", "zoo.index", "zoo.records", "zoo.recipes"}
    | {"zoo.report", "zoo.search"},  # __init__.py: public names for type checkers
    "zoo.records": set(),
    "zoo.options": {"zoo.records", "zoo.search", "zoo.text", "zoo.train"},
    "zoo.data": {"zoo.records"},
    "zoo.text": TEXTS,
    "zoo.docids": {"zoo.records"},
    "zoo.index": {"zoo.docids", "zoo.text", "zoo.records"},  # text: terms of the inverted index
    "zoo.search": {"zoo.docids", "zoo.index", "zoo.records"},
    "zoo.nets": {"zoo.records"},  # the error type
    "zoo.objectives": set(),
    "zoo.train": {"zoo.records"},
    "zoo.metrics": {"zoo.data", "zoo.records"},
    "zoo.schemes": SCHEMES,
    "zoo.ranking": RANKING,
    "zoo.models": MODELS,
    "zoo.update": UPDATE,
    "zoo.recipes": RECIPES,
    "zoo.api": API,
    "zoo.report": REPORT,
    "zoo.exchange": REPORT,
    "zoo.serve": {*REPORT, "zoo.report"},  # report: the view of a search
    "zoo.accelerators": REPORT,
    "zoo.cli": {
        *REPORT,
        "zoo",
        "zoo.report",
        "zoo.exchange",
        "zoo.accelerators",
        "zoo.serve",
    },  # zoo: its version
    "zoo.__main__": {"zoo.cli"},
    "zoo.launch": {"zoo.exchange", "zoo.docids", "zoo.index", "zoo.search", "zoo.nets"}
    | {"zoo.data", "zoo.text", "zoo.records"},
    "theory": {"zoo.docids", "zoo.index", "zoo.search", "zoo.metrics", "zoo.records"},
}
EXCEPTIONS = {  # files that reach further than their package, and why
    "zoo/train/stages.py": {"zoo.data", "zoo.options"},  # where examples, options and loop meet
    "theory/alignment.py": {"zoo.nets"},  # takes the decoder itself apart
    "theory/claims/multi_vector.py": {"zoo.nets"},  # draws random weights of it
    "theory/fitted.py": {"zoo.api", "zoo.models"},  # asks a fitted system
    **{f"theory/{name}.py": {"zoo.data", "zoo.report"} for name in ("cli", "plots", "report")},
}
HEAVY = ("tensorflow", "tensorflow_datasets", "torch", "t5x", "seqio", "gin")
# names without meaning
NAMELESS = ("utils", "util", "helpers", "helper", "common", "misc", "base", "tools", "core")
MOST_LINES = 500
# of zoo/, with exceptions that are one idea and their reasons
ZOO_LINES, FUNCTION_LINES, PARAMETERS = 350, 60, 8
LONG_FUNCTIONS = {
    "zoo/search/best_first.py:best_first": "a search's contract: half of it is documentation"
}
MANY_PARAMETERS = {
    "zoo/accelerators/plan.py:compile_recipe": "a public call with the arguments of zoo.fit",
    "zoo/models/beam_walk.py:walk": "a jitted program: its parameters are the arrays that it reads",
    "zoo/report/walks.py:_search": "what a reader may change of the search that a view shows",
    "zoo/launch/decode.py:trie_beam_search": "t5x calls it with the arguments of its decoders",
}


def imports_of(source):
    """Modules `zoo.x` and `theory.x` that a source imports, inside functions too."""
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [f"{node.module}.{alias.name}" for alias in node.names]
            assert node.level == 0, "relative import; write the full name"
    depth = {"zoo": 2, "theory": 1}  # theory is one package; zoo is a column of them
    parts = [name.split(".") for name in names]
    return {".".join(name[: depth[name[0]]]) for name in parts if name[0] in depth}


def top_levels_of(source):
    """Top-level packages that a source imports."""
    nodes = list(ast.walk(ast.parse(source)))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
    return {name.split(".")[0] for name in names}


def files_of(package):
    """The files of a row of the table."""
    place = ROOT / package.replace(".", "/")
    if package == "zoo":
        return [place / "__init__.py"]
    if not place.is_dir():
        return [place.with_suffix(".py")]
    return sorted(place.rglob("*.py"))


def sources():
    return sorted(
        path
        for folder in ("zoo", "theory", "tests", "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
    )


@pytest.mark.parametrize("package", ALLOWED)
def test_a_package_imports_only_lower_layers(package):
    files = files_of(package)
    assert files
    for file in files:
        extra = (
            imports_of(file.read_text())
            - ALLOWED[package]
            - {package}
            - EXCEPTIONS.get(file.relative_to(ROOT).as_posix(), set())
        )
        assert not extra, (
            f"{file.relative_to(ROOT)} imports {sorted(extra)}; allowed: {sorted(ALLOWED[package])}"
        )


def test_every_file_has_a_row_in_the_table():
    rows = {file for package in ALLOWED for file in files_of(package)}
    for file in sources():
        if file.parts[len(ROOT.parts)] in ("zoo", "theory") and "launch" not in file.parts:
            assert file in rows, f"{file.relative_to(ROOT)}: say in ALLOWED what it may import"


@pytest.mark.parametrize(
    ("package", "never"),
    (
        ("zoo.search", "zoo.nets"),
        ("zoo.nets", "zoo.search"),
        ("zoo.nets", "zoo.docids"),
        ("zoo.train", "zoo.nets"),
        ("theory", "zoo.nets"),
        ("theory", "zoo.recipes"),
        *((package, "theory") for package in ALLOWED if package != "theory"),
    ),
)
def test_the_table_itself_keeps_the_columns_apart(package, never):
    assert never not in ALLOWED[package]


def test_no_heavy_framework_is_imported():
    for file in sources():
        # benchmarks measure peers
        if file.name not in ("tfds.py", "tfds_read.py") and not {"launch", "benchmarks"} & set(
            file.parts
        ):
            found = top_levels_of(file.read_text()) & set(HEAVY)
            assert not found, (
                f"{file.relative_to(ROOT)} imports {sorted(found)}; that belongs in zoo/launch or "
                "zoo/data/tfds.py"
            )


def test_no_file_is_long_or_has_a_meaningless_name():
    for file in sources():
        lines = len(file.read_text().splitlines())
        assert lines <= MOST_LINES, (
            f"{file.relative_to(ROOT)} has {lines} lines; split it at an idea"
        )
        names = [
            part.removesuffix(".py").removeprefix("test_") for part in file.relative_to(ROOT).parts
        ]
        assert not set(names) & set(NAMELESS), (
            f"{file.relative_to(ROOT)}: name it after what it holds"
        )


def functions_over_limits(source):
    """(name, lines, parameters) of functions over a limit; *args and **kwargs do not count."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            named = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            count = len(named) - (named[:1] != [] and named[0].arg in ("self", "cls"))
            lines = node.end_lineno - node.lineno + 1
            if lines > FUNCTION_LINES or count > PARAMETERS:
                yield node.name, lines, count


def test_files_and_functions_of_zoo_stay_within_limits():
    files, functions, parameters = set(), set(), set()
    for file in sorted((ROOT / "zoo").rglob("*.py")):
        name, source = file.relative_to(ROOT).as_posix(), file.read_text()
        if len(source.splitlines()) > ZOO_LINES:
            files.add(name)
        for function, lines, count in functions_over_limits(source):
            if lines > FUNCTION_LINES:
                functions.add(f"{name}:{function}")
            if count > PARAMETERS:
                parameters.add(f"{name}:{function}")
    # equal: an exception that is no longer one has to go
    assert not files
    assert functions == set(LONG_FUNCTIONS)
    assert parameters == set(MANY_PARAMETERS)


def test_a_long_function_and_many_parameters_are_found():
    many = ", ".join(f"p{number}" for number in range(9))
    body = "\n".join(["    pass"] * 60)
    source = f"def wide({many}): ...\ndef fits(self, {many[4:]}, *a, **k): ...\ndef long():\n{body}"
    assert [name for name, *_ in functions_over_limits(source)] == ["wide", "long"]


def test_package_files_hold_one_line_of_docstring():
    for file in sources():
        if file.name == "__init__.py" and file.parent not in (
            ROOT / "zoo",
            ROOT / "zoo" / "recipes",
            ROOT / "zoo" / "records",
            ROOT / "theory",
            ROOT / "theory" / "claims",
        ):
            (only,) = ast.parse(file.read_text()).body
            assert ast.get_docstring(ast.parse(file.read_text())), (
                f"{file.relative_to(ROOT)}: {ast.unparse(only)}"
            )


def test_every_form_of_import_is_detected():
    source = (
        "import zoo.nets.heads\nfrom zoo import search\ndef f():\n"
        "    from zoo.recipes.dsi import fit\n    import theory, numpy"
    )
    assert imports_of(source) == {"zoo.nets", "zoo.search", "zoo.recipes", "theory"}
    assert top_levels_of("def f():\n    from torch.nn import functional\nimport a.b, jax") == {
        "torch",
        "a",
        "jax",
    }


def cycles(edges):
    """Import cycles of a graph of modules, each a sorted tuple of names (Tarjan's components)."""
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in edges[node]:
            if other not in index:
                visit(other)
            if other in stack:
                low[node] = min(low[node], low[other])
        if low[node] == index[node]:
            component = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(component) > 1 or node in edges[node]:
                found.append(tuple(sorted(component)))

    for node in edges:
        if node not in index:
            visit(node)
    return found


def modules_imported(source, modules):
    """Modules among `modules` that a source imports, inside functions too."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return names & modules


def test_there_are_no_import_cycles():
    files = {
        ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file
        for file in sources()
        if file.relative_to(ROOT).parts[0] in ("zoo", "theory")
    }
    # `zoo` and `theory` load their public names when they are first used
    edges = {
        name: modules_imported(file.read_text(), files.keys() - {name, "zoo", "theory"})
        for name, file in files.items()
        if name not in ("zoo", "theory")
    }
    assert cycles(edges) == []


def test_an_import_cycle_is_found():
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [("a", "b", "c")]
    assert cycles({"a": {"b"}, "b": set()}) == []
