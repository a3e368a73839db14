"""The package's arrows run one way: what a module imports lies beside it or below."""

import ast

import pytest

from crossover.paths import NOTEBOOKS

PACKAGE = NOTEBOOKS / "crossover"
BOTTOM = {"problem", "files", "paths", "kernels", "words", "errors", "assignments"}
# What each part may import beside its own modules.
BELOW: dict[str, set[str]] = {part: set() for part in [*BOTTOM, "__init__"]}
# Whatever can fail knows the base of the errors; a verb at the bottom reads its words.
BELOW["files"] = BELOW["assignments"] = {"errors"}
BELOW["kernels"] = {"assignments"}
BELOW["records"] = BOTTOM
BELOW["hardware"] = BELOW["analysis"] = {*BOTTOM, "records"}
BELOW["training"] = {*BELOW["hardware"], "hardware"}
BELOW["report"] = {*BELOW["training"], "training", "analysis"}
BELOW["study"] = {*BELOW["report"], "report"}
BELOW["__main__"] = {*BELOW["study"], "study"}
FRAMEWORKS = {"keras", "tensorflow", "jax", "torch"}


def imports(path):
    """The modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name the whole path"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def part_of(module):
    """The part of the package that a module belongs to."""
    return module.split(".")[1]


def paths():
    return sorted(PACKAGE.glob("**/*.py"))


@pytest.mark.parametrize("path", paths(), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_arrows_run_one_way(path):
    own = path.relative_to(PACKAGE).with_suffix("").parts[0]
    taken = {part_of(name) for name in imports(path) if name.startswith("crossover.")} - {own}
    assert taken & set(BELOW) <= BELOW[own]


@pytest.mark.parametrize("part", ["analysis", "report", "records"])
def test_no_framework_is_imported_to_look_at_results(part):
    found = {
        name.split(".")[0] for path in (PACKAGE / part).rglob("*.py") for name in imports(path)
    }
    assert found & FRAMEWORKS == set()


def test_a_backend_is_named_only_where_backends_are_told_apart():
    """Its facts, its runtime, and nothing else: no ladder asks which one it is."""
    homes = {"records/backends.py", "hardware/runtimes"}
    names = {"tensorflow", "jax", "torch"}
    for path in paths():
        place = path.relative_to(PACKAGE)
        if {place.as_posix(), place.parent.as_posix()} & homes:
            continue
        texts = [node.value for node in ast.walk(ast.parse(path.read_text()))
                 if isinstance(node, ast.Constant)]  # fmt: skip
        assert not names & {text for text in texts if isinstance(text, str)}, place


def test_a_name_says_what_was_found():
    """And which one of each, and what is known."""
    for path in paths():
        nodes = list(ast.walk(ast.parse(path.read_text())))
        names = {node.id for node in nodes if isinstance(node, ast.Name)}
        names |= {node.arg for node in nodes if isinstance(node, ast.arg)}
        assert not names & {"found", "each", "known", "turned"}, path
