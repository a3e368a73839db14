"""The one entry: it opens fast, knows its verbs, and ends in one sentence with a code."""

import ast
import re
import subprocess
import sys
from pkgutil import resolve_name

import pytest

from crossover import __main__ as entry
from crossover.errors import CrossoverError
from crossover.files import StorageError
from crossover.paths import NOTEBOOKS, PROJECT
from crossover.study.slurm import SlurmError
from test_arrows import FRAMEWORKS

SLOW = {"papermill", "snakemake", "matplotlib", "seaborn", "sklearn", "nbconvert", *FRAMEWORKS}
SOURCES = sorted((NOTEBOOKS / "crossover").glob("**/*.py"))


def loaded(code):
    """The modules that a fresh process has after some code, by their first names."""
    words = [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=PROJECT)
    return {name.split(".")[0] for name in done.stdout.split()}


def test_the_front_door_opens_without_what_it_may_not_need():
    front = loaded("import crossover.__main__")
    assert front & {*SLOW, "numpy", "pandas", "pydantic", "yaml"} == set()


@pytest.mark.parametrize("verb", ["report", "offline", "record"])
def test_a_verb_imports_nothing_that_trains_plots_or_copies(verb):
    code = f"import pkgutil\npkgutil.resolve_name({entry.VERBS[verb][1]!r})"
    assert loaded(code) & SLOW == set()


@pytest.mark.parametrize("verb", entry.VERBS)
def test_every_verb_has_its_function(verb):
    assert callable(resolve_name(entry.VERBS[verb][1]))


def test_the_makefile_and_the_workflow_call_verbs_that_there_are():
    texts = [(PROJECT / name).read_text(encoding="utf-8") for name in (
        "Makefile", "README.md", "environment.yml", "workflow/Snakefile",
    )]  # fmt: skip
    called = set(re.findall(r"python -m crossover ([a-z]+)", "\n".join(texts)))
    assert {"predict", "record", "render", "kernels"} <= called <= set(entry.VERBS)
    (rule,) = re.findall(r"^([a-z ]+): ready\n.*-m crossover \$@", texts[0], re.MULTILINE)
    assert rule.split() == ["report", "quick", "partial", "explain", "map"]
    assert not re.search(r"python -m crossover\.", "\n".join(texts))


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_without_a_verb_it_lists_them(words, capsys):
    assert entry.main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(entry.VERBS)


ENDS = {
    "a wrong setting": (CrossoverError("a is b."), 2, "a is b."),
    "a file": (StorageError("a could not be written."), 4, "a could not be written."),
    "a code of its own": (SlurmError("no SLURM.", 5), 5, "no SLURM."),
    "the system": (PermissionError(13, "Permission denied"), 4, "Permission denied: check the fo"),
}


@pytest.mark.parametrize("name", ENDS)
def test_whatever_ends_a_verb_is_one_sentence_and_a_code(name, monkeypatch, capsys):
    error, code, sentence = ENDS[name]

    def fail(verb, words):
        raise error

    monkeypatch.setattr("crossover.kernels.kernels", fail)
    assert entry.main(["kernels"]) == code
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith(f"crossover: {sentence}")


def test_all_errors_have_one_base():
    bases = {
        node.name: {base.id for base in node.bases if isinstance(base, ast.Name)}
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and node.name.endswith("Error")
    }
    known = {"CrossoverError"}
    while more := {name for name, own in bases.items() if own & known} - known:
        known |= more
    assert known == set(bases)
    assert len(known) > 10


def test_one_place_tells_the_user_what_went_wrong():
    telling = [path.name for path in SOURCES if "sys.stderr" in path.read_text(encoding="utf-8")]
    assert telling == ["errors.py"]
