"""A data scientist's way through JupyterLab, in a real browser; its pictures are kept in ``.artifacts``."""

import json
import os
import subprocess
import time
import urllib.request

import numpy as np
import pandas as pd
import pytest

from hardcover.template import add, new
from tests.conftest import BIN, CHROMIUM, ROOT, free_port, needs_browser

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = needs_browser
ARTIFACTS = ROOT / ".artifacts"
FEATURE = '#| export\ndef price_per_kg(price, load_kg):\n    """Price of a kilogram, in $/kg."""\n    return price / load_kg'


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Return a project of somebody's orders whose data stage has run."""
    where = tmp_path_factory.mktemp("lab")
    noise, rows = np.random.default_rng(0), 400
    load, price = noise.normal(50, 10, rows).round(1), noise.uniform(100, 9000, rows).round(2)
    late = (noise.random(rows) < 1 / (1 + np.exp(-(price / load - 90) / 20))).astype(int)
    table = pd.DataFrame(
        {"Load [kg]": load, "Price": price, "express": noise.choice(["yes", "no"], rows), "late": late}
    )
    table.to_csv(where / "orders.csv", index=False)
    folder = where / "orders"
    files = [str(where / "orders.csv")]
    new.write(folder, files, add.propose(files, "late"))
    command = [BIN / "hardcover", "run", "orders", "--stage", "data"]
    done = subprocess.run(
        command, cwd=folder, env=_environment(where), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder


def _environment(home):
    """Return variables that lead to nothing of this machine's user or of the project that the tests are part of."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("HARDCOVER_", "JUPYTER"))
    }
    return {**kept, "HOME": str(home), "KEDRO_ENV": "ci", "PATH": f"{BIN}:{os.environ['PATH']}"}


@pytest.fixture(scope="module")
def address(project, tmp_path_factory):
    """Start JupyterLab on the project, with settings of its own; yields its address."""
    home = tmp_path_factory.mktemp("home")
    settings = {
        "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
        # All cells are there to be found, also those out of sight.
        "notebook-extension/tracker": {"windowingMode": "none"},
    }
    for name, values in settings.items():
        file = home / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(values))
    port = free_port()
    environment = _environment(home) | {"JUPYTERLAB_SETTINGS_DIR": str(home / "settings")}
    command = [BIN / "jupyter", "lab", "--no-browser", f"--port={port}", "--allow-root", "--expose-app-in-browser",
               "--ServerApp.root_dir=.", "--IdentityProvider.token=", "--ServerApp.password="]  # fmt: skip
    with (home / "lab.log").open("w") as log:
        server = subprocess.Popen(command, cwd=project, env=environment, stdout=log, stderr=log)
        try:
            url = f"http://127.0.0.1:{port}"
            _until(lambda: _answers(f"{url}/api"), "JupyterLab does not answer", home / "lab.log")
            yield url
        finally:
            server.terminate()
            server.wait(30)


def _answers(url):
    try:
        return urllib.request.urlopen(url, timeout=5).status == 200
    except OSError:
        return False


def _until(holds, what, log=None, seconds=90):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, what + (f":\n{log.read_text()[-3000:]}" if log else "")
        time.sleep(0.1)


class Lab:
    """One notebook in the browser, by what a person sees of it."""

    def __init__(self, page):
        self.page = page

    def open(self, url, notebook):
        self.page.goto(f"{url}/lab/tree/{notebook}?reset")
        self.page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=90_000)
        self.page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status=idle]", timeout=90_000)

    def edit(self, holding, source):
        """Replace the source of the cell that holds a text."""
        editor = self.page.locator(".jp-CodeCell .cm-content", has_text=holding).first
        editor.scroll_into_view_if_needed()
        editor.click()
        self.page.keyboard.press("Control+A")
        self.page.keyboard.insert_text(source)

    def save(self, state):
        """Save, and wait for what the toolbar says."""
        self.page.evaluate("document.querySelector('.hardcover-export').dataset.state = ''")
        self.command("docmanager:save")
        self.page.wait_for_selector(f".hardcover-export[data-state={state}]", timeout=30_000)
        return self.page.locator(".hardcover-export").inner_text()

    def command(self, name):
        self.page.evaluate(f"window.jupyterapp.commands.execute('{name}').then(() => null)")

    def idle(self):
        """Wait until every cell has run."""
        self.page.wait_for_function(
            "![...document.querySelectorAll('.jp-InputPrompt')].some(prompt => prompt.textContent.includes('*'))",
            timeout=120_000,
        )
        self.page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status=idle]", timeout=120_000)

    def run_all(self):
        self.command("notebook:run-all-cells")
        self.idle()

    def append(self, source):
        """Add a cell at the end, run it, and return its outputs' text."""
        last = self.page.locator(".jp-Notebook .jp-CodeCell").last
        last.scroll_into_view_if_needed()
        last.locator(".jp-InputPrompt").click()
        self.command("notebook:insert-cell-below")
        cell = self.page.locator(".jp-Notebook .jp-CodeCell").last
        cell.locator(".cm-content").click()
        self.page.keyboard.insert_text(source)
        self.command("notebook:run-cell")
        self.idle()
        cell.locator(".jp-InputPrompt").scroll_into_view_if_needed()
        self.command("notebook:move-cursor-down")
        return cell.locator(".jp-OutputArea").inner_text(timeout=30_000)

    def unrun(self):
        """Return the cells that have not run."""
        return self.page.locator(
            ".jp-CodeCell", has=self.page.locator(".jp-InputPrompt", has_text="[ ]:")
        ).all_inner_texts()

    def picture(self, name):
        ARTIFACTS.mkdir(exist_ok=True)
        # Notifications slide in.
        time.sleep(0.7)
        self.page.screenshot(path=ARTIFACTS / f"lab-{name}.png")


@pytest.fixture(scope="module")
def lab():
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1500, "height": 1000})
        page.set_default_timeout(60_000)
        yield Lab(page)
        browser.close()


def test_a_feature_goes_from_a_saved_cell_into_the_module_the_model_and_the_displays(project, address, lab):
    module = project / "src" / "orders" / "orders" / "features.py"
    lab.open(address, "notebooks/orders/02_features.ipynb")
    lab.edit("def _bounded", FEATURE.replace("load_kg):", "load_kg:"))
    said = lab.save("kept")
    assert "kept as it was" in said
    assert "price_per_kg" not in module.read_text()
    lab.page.wait_for_selector(".Toastify__toast:has-text('was never closed')")
    lab.picture("syntax-error")
    lab.edit("price_per_kg", FEATURE)
    lab.edit("_bounded(5.0", "assert price_per_kg(10.0, 5.0) == 2.0")
    assert "exported" in lab.save("exported")
    assert "def price_per_kg(price, load_kg)" in module.read_text()
    lab.run_all()
    lab.picture("ran")
    assert lab.unrun() == []
    assert "committed versions" in lab.page.locator(".jp-Notebook").inner_text()
    shown = lab.append('here.show("features")')
    assert "price_per_kg" in shown
    assert "made of" in shown
    lab.picture("version")

    said = lab.append("%load_ext hardcover\n%hardcover run train")
    assert "case 'orders'" in said
    assert "train: done" in said
    (model,) = project.glob("environments/ci/data/06_models/orders/model.txt/*/model.txt")
    assert "price_per_kg" in next(
        line for line in model.read_text().splitlines() if line.startswith("feature_names")
    )
    lab.append("%hardcover lineage metrics")
    lab.page.wait_for_selector("iframe[srcdoc*='Lineage of orders.metrics']")
    lab.picture("lineage")


def test_an_edit_from_outside_and_cells_out_of_order_are_said(project, address, lab):
    module = project / "src" / "orders" / "orders" / "features.py"
    before = module.read_text()
    assert (
        lab.append("import orders.orders.features as exported; print(exported.__name__)").strip()
        == "orders.orders.features"
    )
    module.write_text(before + "\n\ndef outside(price):\n    return price\n")
    said = lab.append("1 + 1")
    assert "orders.orders.features is newer on disk than what this kernel imported" in said
    lab.picture("stale-module")
    module.write_text(before)
    lab.save("unchanged")
    cell = lab.page.locator(".jp-CodeCell", has_text="def price_per_kg").first
    cell.scroll_into_view_if_needed()
    cell.locator(".cm-content").click()
    lab.command("notebook:run-cell")
    run = lab.page.locator(".jp-CodeCell", has_text="features.create_pipeline(__main__)").first
    run.scroll_into_view_if_needed()
    run.locator(".cm-content").click()
    lab.command("notebook:run-cell")
    lab.idle()
    said = run.locator(".jp-OutputArea").inner_text()
    assert "INFO" not in lab.page.locator(".jp-Notebook").inner_text()
    assert "may not come out the same from top to bottom" in said
    assert "before cell" in said
    lab.picture("out-of-order")


def test_a_report_shows_code_only_to_those_who_ask(project, lab):
    (report,) = project.glob("environments/ci/data/08_reporting/orders/*/01_data.html")
    lab.page.goto(report.as_uri())
    code = lab.page.locator(".code").first
    assert not code.is_visible()
    lab.picture("report")
    lab.page.get_by_label("show the code").check()
    assert code.is_visible()
    assert lab.page.locator(".code >> visible=true").count() == lab.page.locator(".code").count()
