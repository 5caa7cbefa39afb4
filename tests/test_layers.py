"""The columns import only what lies below them: imports read with `ast`, compared with a literal table."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]

# package -> packages and modules of ours that its files may import
ALLOWED = {
    "zoo.docids": {"zoo.docids", "zoo.records"},
    "zoo.index": {"zoo.docids", "zoo.index", "zoo.records"},
    "zoo.search": {"zoo.docids", "zoo.index", "zoo.search", "zoo.records"},
}


def imports_of(source):
    """Modules `zoo.x` and `theory.x` that a source text imports anywhere, inside functions too."""
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [f"{node.module}.{alias.name}" for alias in node.names]
            assert node.level == 0, "relative import; write the full name"
    return {".".join(name.split(".")[:2]) for name in names if name.split(".")[0] in ("zoo", "theory")}


@pytest.mark.parametrize("package", ALLOWED)
def test_a_package_imports_only_what_lies_below_it(package):
    files = sorted((ROOT / package.replace(".", "/")).rglob("*.py"))
    assert files
    for file in files:
        extra = imports_of(file.read_text()) - ALLOWED[package]
        assert not extra, f"{file.relative_to(ROOT)} imports {sorted(extra)}; allowed: {sorted(ALLOWED[package])}"


def test_every_form_of_import_is_seen():
    source = "import zoo.nets.heads\nfrom zoo import search\ndef f():\n    from zoo.recipes.dsi import fit\n    import theory, numpy"
    assert imports_of(source) == {"zoo.nets", "zoo.search", "zoo.recipes", "theory"}
