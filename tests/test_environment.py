"""The environment: locked by hash, closed to the network, and working without one."""

import ast
import contextlib
import json
import os
import re
import shlex
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

from conftest import BIN, outside
from crossover.paths import NOTEBOOKS, PROJECT
from crossover.records.storage import read_records
from crossover.report.render import render

LOCKS = sorted((PROJECT / "requirements").glob("*.txt"))
MAKEFILE = (PROJECT / "Makefile").read_text()
OWN = os.path.relpath(sys.prefix, PROJECT)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_every_requirement_is_pinned_and_hashed(lock):
    text = lock.read_text().replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if not line.strip().startswith("#")]
    pin, marker = r"[a-z0-9._-]+(\[[a-z0-9,-]+\])?==\S+", r"( ;[^#]*?)?"
    wanted = re.compile(rf"{pin}{marker}(\s+--hash=sha256:[0-9a-f]{{64}})+")
    assert len([line for line in lines if line]) > 50
    assert [line for line in lines if line and not wanted.fullmatch(line)] == []


FORBIDDEN = {
    "eval", "exec", "compile", "pickle", "marshal", "shelve", "dill", "joblib", "os.system",
    "yaml.load", "http.server", "socketserver",
}  # fmt: skip


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("crossover/**/*.py")), ids=lambda p: p.stem)
def test_no_code_runs_data_or_listens(path):
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module)
        elif isinstance(node, ast.Call):
            found.add(ast.unparse(node.func))
            for keyword in node.keywords:
                value = getattr(keyword.value, "value", None)
                assert (keyword.arg, value) not in {("shell", True), ("allow_pickle", True)}
    assert found & FORBIDDEN == set()


LOOPBACK = """
import fcntl, os, socket, struct, sys
with socket.socket() as any_socket:  # Bring the loopback interface up: SIOCSIFFLAGS, IFF_UP.
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sH14x", b"lo", 1))
os.execvp(sys.argv[1], sys.argv[1:])
"""


def without_network(*command, **options):
    """Run a command where no interface but loopback exists; skip where that is not permitted."""
    apart = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
    inside = [*apart, sys.executable, "-c", LOOPBACK]
    try:
        subprocess.run([*inside, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this machine permits no network namespace")
    return subprocess.run(
        [*inside, *map(str, command)], capture_output=True, text=True, cwd=PROJECT, **options
    )


REACH = "import socket; socket.create_connection(('192.0.2.1', 80), 3)"


@pytest.mark.long
def test_everything_works_without_a_network(tmp_path):
    assert "unreachable" in without_network(sys.executable, "-c", REACH).stderr
    environment = outside(
        CROSSOVER_LOCK=str(tmp_path / "lock"),
        KERAS_BACKEND="nonsense",  # The notebook sets the backend itself.
    )
    papermill = [BIN / "papermill", "--kernel", "crossover-cpu", "--cwd", NOTEBOOKS]
    steps = {
        "train.ipynb": {"output": tmp_path / "trials", "widths": 4, "epochs": 1},
        "summary.ipynb": {
            "records": tmp_path / "trials", "figure_folder": tmp_path, "table_folder": tmp_path,
            "epochs": 1, "widths": 4,
        },
    }  # fmt: skip
    for name, parameters in steps.items():
        words = [word for key, value in parameters.items() for word in ("-p", key, value)]
        done = without_network(
            *papermill, NOTEBOOKS / name, tmp_path / name, *words, env=environment
        )
        assert done.returncode == 0, done.stderr
    (record,) = read_records(tmp_path / "trials").records
    assert record.settings.backend == "tensorflow"
    assert render(tmp_path / "summary.ipynb", tmp_path / "report.html") > 10_000
    assert "Unfinished study" not in (tmp_path / "report.html").read_text()


def test_the_audit_says_when_it_cannot_look_anything_up():
    # Inside another make, as in `make test`, make would announce the folder.
    make = ["make", "--no-print-directory", "ENVIRONMENT=true", f"VENV={OWN}"]
    done = without_network(*make, "LOCK=cpu", "audit")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == "Not audited: the vulnerability database cannot be reached.\n"


def family(process):
    """A process and its children; looked for again where one of them ends meanwhile."""
    while True:
        try:
            return [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            time.sleep(0.1)
            assert process.is_running()


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A running JupyterLab, started with the words of `make lab`: its process and its facts."""
    folder = tmp_path_factory.mktemp("lab")
    make = ["make", "--no-print-directory", "--dry-run", f"VENV={OWN}", "lab"]
    words = subprocess.check_output(make, cwd=PROJECT, text=True)
    command = [*shlex.split(words.splitlines()[-1]), "--no-browser", "--port=0"]
    names = ("CONFIG_DIR", "RUNTIME_DIR", "DATA_DIR")
    environment = outside(**{f"JUPYTER_{name}": str(folder / name) for name in names})
    environment.pop("JUPYTER_TOKEN", None)
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=log, stderr=log)
        try:
            while not (found := list(folder.glob("RUNTIME_DIR/jpserver-*.json"))):
                assert process.poll() is None, (folder / "log").read_text()
                time.sleep(0.2)
            time.sleep(0.5)
            yield psutil.Process(process.pid), json.loads(found[0].read_text())
        finally:
            for each in family(psutil.Process(process.pid))[1:]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.kill()
            process.kill()
            process.wait()


def ask(address, token=None, content=None):
    """The status of a request; content makes it a POST."""
    request = urllib.request.Request(address, data=content)
    if token:
        request.add_header("Authorization", f"token {token}")
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def listening(process):
    """The addresses that a process and its children listen at."""
    found = set()
    for one in family(process):
        with contextlib.suppress(psutil.NoSuchProcess):
            found |= {
                each.laddr.ip
                for each in one.net_connections("inet")
                if each.status == psutil.CONN_LISTEN
            }
    return found


def command_lines(process):
    """The command lines of a process and its children."""
    found = []
    for one in family(process):
        with contextlib.suppress(psutil.NoSuchProcess):
            found.append(" ".join(one.cmdline()))
    return found


def test_the_lab_listens_on_loopback_only(lab):
    process, facts = lab
    kernels = f"{facts['url']}api/kernels"
    assert ask(kernels, facts["token"], b'{"name": "crossover-cpu"}') == 201
    deadline = time.time() + 20
    while not any("ipykernel" in line for line in command_lines(process)):
        assert time.time() < deadline
        time.sleep(0.2)
    time.sleep(2)
    assert listening(process) == {"127.0.0.1"}


def test_the_lab_refuses_who_has_no_token(lab):
    _, facts = lab
    assert len(facts["token"]) >= 32
    for path in ("api/contents", "api/kernels", "api/terminals"):
        assert ask(f"{facts['url']}{path}") == 403
        assert ask(f"{facts['url']}{path}", "0" * 48) == 403
        assert ask(f"{facts['url']}{path}", facts["token"]) == 200
    assert ask(f"{facts['url']}api/kernels", content=b"{}") == 403


def test_the_lab_is_not_reached_from_outside(lab):
    _, facts = lab
    own = {
        each.address
        for addresses in psutil.net_if_addrs().values()
        for each in addresses
        if each.family == socket.AF_INET and not each.address.startswith("127.")
    }
    for address in own:
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((address, facts["port"]), 3)


def test_no_sentence_of_the_makefile_asks_for_more_than_loopback():
    assert "0.0.0.0" not in MAKEFILE
    assert not Path(PROJECT / "jupyter_server_config.py").exists()
