"""Both notebooks in a real JupyterLab: Run All, with their defaults."""

import socket
import subprocess
import time
import urllib.request

import nbformat
import pytest
from playwright.sync_api import sync_playwright

from conftest import BIN, copy_project, make_record, outside
from crossover.records.settings import protocol_settings
from crossover.records.storage import read_records, write_record

pytestmark = [pytest.mark.browser, pytest.mark.long]

TOKEN = "read-by-nobody-else"
START_SECONDS, RUN_SECONDS = 60, 200


@pytest.fixture(scope="module")
def project(trained, tmp_path_factory):
    """A copy of the project with a study of all default widths but the smallest."""
    root = copy_project(tmp_path_factory.mktemp("project") / "a project")
    real = next(
        r for r in read_records(trained[0] / "trials").records if r.settings.protocol == "published"
    )
    same = {"machine": real.machine, "software": real.software, "code": real.code}
    for width in (8, 16, 32, 64, 128, 256, 512, 1024):
        record = make_record(width, settings=protocol_settings("published"), **same)
        write_record(root / "data/runs/main/trials", record)
    return root


@pytest.fixture(scope="module")
def lab(project):
    """The address of a JupyterLab started as `make lab` starts it, but with no browser."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [BIN / "jupyter", "lab", "--ip=127.0.0.1", "notebooks", "--no-browser"]
    command += ["--allow-root", f"--port={port}", f"--IdentityProvider.token={TOKEN}"]
    state = {f"JUPYTER_{name}_DIR": str(project / name.lower()) for name in ("CONFIG", "RUNTIME")}
    state |= {f"JUPYTERLAB_{n}_DIR": str(project / n.lower()) for n in ("SETTINGS", "WORKSPACES")}
    state["CROSSOVER_LOCK"] = str(project / "timing.lock")
    with (project / "lab.log").open("w") as log:
        server = subprocess.Popen(
            list(map(str, command)), cwd=project, env=outside(**state), stdout=log, stderr=log
        )
    try:
        wait_until_it_answers(f"http://127.0.0.1:{port}/api?token={TOKEN}", server)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)


def wait_until_it_answers(address, server):
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.3)
    pytest.fail("JupyterLab did not start; see lab.log")


@pytest.fixture(scope="module")
def window(chromium):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser.new_context(viewport={"width": 1280, "height": 900})
        browser.close()


def run_all(window, lab, path):
    """Open a notebook, wait for its kernel, run all cells, save, and return what was saved."""
    page = window.new_page()
    # A workspace of its own, so that no other notebook's state is on the screen.
    page.goto(f"{lab}/lab/workspaces/{path.stem}/tree/{path.name}?token={TOKEN}")
    page.get_by_text("Crossover (CPU) | Idle").wait_for(timeout=START_SECONDS * 1000)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    run_all_cells = page.get_by_text("Run All Cells", exact=True)
    page.locator(".lm-Menu-item:not(.lm-mod-disabled)", has=run_all_cells).click()
    deadline = time.monotonic() + RUN_SECONDS
    while time.monotonic() < deadline:
        page.wait_for_timeout(1000)
        page.keyboard.press("Control+s")
        try:
            notebook = nbformat.read(path, as_version=4)
        except nbformat.reader.NotJSONError:  # Being saved just now.
            continue
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        if all(cell.execution_count for cell in code) or errors_of(code):
            page.close()
            return code
    ran = sum(1 for cell in code if cell.execution_count)
    pytest.fail(f"{path.name}: {ran} of {len(code)} cells ran in {RUN_SECONDS} s")


def errors_of(code):
    return [output for cell in code for output in cell.outputs if output.output_type == "error"]


def texts_of(code):
    return "".join(out.text for cell in code for out in cell.outputs if out.output_type == "stream")


def test_run_all_trains_what_is_missing_then_summarises(window, lab, project):
    code = run_all(window, lab, project / "notebooks" / "train.ipynb")
    assert errors_of(code) == []
    assert "Already recorded: 8 of 9 trials." in texts_of(code)
    assert len(read_records(project / "data/runs/main/trials").records) == 9

    code = run_all(window, lab, project / "notebooks" / "summary.ipynb")
    assert errors_of(code) == []
    pictures = [out for cell in code for out in cell.outputs if "image/png" in out.get("data", {})]
    assert len(pictures) >= 4
    assert all(out.metadata["image/png"]["alt"] for out in pictures)
    assert (project / "figures" / "crossover.svg").exists()
