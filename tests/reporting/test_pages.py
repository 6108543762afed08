"""Pages that people look at: one file each, whole at 1,200 and readable at 400 pixels; pictures of them are kept as artifacts."""

import html
import re
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from hardcover.monitoring import page
from hardcover.reporting import pages
from tests.conftest import CHROMIUM, ROOT, needs_browser
from tests.monitoring.test_page import HISTORY, state_of

ARTIFACTS = ROOT / ".artifacts"
QUIET = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--virtual-time-budget=2000",
]
# Chromium's own window is never narrower than 500 pixels, so that a phone's is a frame within it.
FRAME = """<!doctype html><body style="margin:0"><iframe id="f" style="border:0;width:{width}px;height:2400px" srcdoc="{page}"></iframe>
<script>f.onload = () => document.title = 'wide ' + f.contentDocument.documentElement.scrollWidth</script>"""


@pytest.fixture(scope="module")
def found(notebook_run, tmp_path_factory) -> dict[str, Path]:
    """Every kind of page that a run makes, by name."""
    lineage = tmp_path_factory.mktemp("pages") / "lineage.html"
    notebook_run.place.call(
        "hardcover", "lineage", "maintenance.wheel", "--env", "ci", "--html", str(lineage)
    )
    front = Path(notebook_run.said["page"])
    (proof,) = notebook_run.place.data.glob("08_reporting/maintenance/proof.html/*/proof.html")
    stages = {path.stem: path for path in front.parent.glob("0*.html")}
    loop = lineage.parent / "loop.html"
    loop.write_text(page.page("churn", state_of(365), HISTORY))
    return {"front": front, "proof": proof, "lineage": lineage, "loop": loop, **stages}


def test_the_front_page_says_what_was_asked_what_came_out_and_where_it_is(notebook_run, found):
    page, said = found["front"].read_text(), notebook_run.said

    figure = said["metrics"]["holdout"]["average_precision"]
    for part in (
        said["source"]["description"],
        f"average precision {figure:.3f}",
        "logistic regression",
        f"<b>{said['metrics']['decision']['threshold']:.4g}</b>",
        "all faces give the same bits",
        said["release_report"]["wheel"],
        said["run"],
        "promoted to champion",
    ):
        assert part in page
    assert page.count("data:image/png;base64") == 4
    for link in re.findall(r'href="([^#h][^"]*)"', page):
        assert (found["front"].parent / link).is_file(), link


def test_the_run_prints_its_front_page_last(notebook_run):
    done = notebook_run.place.call("hardcover", "run", "--env", "ci")

    assert done.stdout.splitlines()[-1].split() == ["report", notebook_run.said["page"]]


def test_a_page_loads_nothing_from_elsewhere(found):
    for name, path in found.items():
        text = path.read_text()
        for attribute in ('src="http', "src='http", 'src="//', "<link", "url(http", "@import"):
            assert attribute not in text, (name, attribute)


def test_a_table_escapes_nothing_and_sets_numbers_to_the_right():
    made = pages.table(["a", "b"], [["<b>x</b>", "1"]], [1])

    assert "<td><b>x</b></td>" in made
    assert '<td class="number">1</td>' in made


@needs_browser
@pytest.mark.parametrize("width", [1200, 400])
def test_every_page_fits_its_window_and_is_kept_as_a_picture(found, width, tmp_path):
    ARTIFACTS.mkdir(exist_ok=True)
    for name, path in found.items():
        frame, picture = tmp_path / f"{name}.html", ARTIFACTS / f"{name}-{width}.png"
        frame.write_text(FRAME.format(width=width, page=html.escape(path.read_text())))
        options = [*QUIET, f"--user-data-dir={tmp_path}/{name}", f"--window-size={max(width, 500)},2400"]
        command = [CHROMIUM, *options, f"--screenshot={picture}", "--dump-dom", frame.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        Image.open(picture).crop((0, 0, width, 2400)).save(picture)

        measured = re.search(r"<title>wide (\d+)</title>", done.stdout)
        assert int(measured[1]) <= width, f"{name} is {measured[1]} pixels wide in a window of {width}"
        assert picture.stat().st_size > 5_000
