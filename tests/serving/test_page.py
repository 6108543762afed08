"""The page to try a model, in a real browser; its picture is kept in ``.artifacts``."""

import pytest

from tests.conftest import CHROMIUM, RECORD, ROOT, needs_browser
from tests.serving.conftest import PREDICT

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = needs_browser


def test_a_record_is_filled_in_and_its_score_shown_with_reasons(serve, wheel, release):
    server = serve(wheel)
    asked = []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1100, "height": 800})
        page.set_default_timeout(120_000)
        page.on("request", lambda request: asked.append(request.url))
        wrong = []
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.goto(f"http://{server.address}/")
        page.wait_for_selector("[name=torque]")
        for name, value in RECORD.items():
            field = page.locator(f"[name={name}]")
            field.select_option(value) if name == "quality" else field.fill(str(value))
        page.click("#ask")
        page.wait_for_selector("#answer .bar")
        shown = page.inner_text("#answer")
        line = page.inner_text("#line")
        (ROOT / ".artifacts").mkdir(exist_ok=True)
        page.screenshot(path=ROOT / ".artifacts" / "try-a-model.png")
        page.fill("[name=torque]", "-5")
        page.click("#ask")
        page.wait_for_selector("#answer li")
        refused = page.inner_text("#answer")
        browser.close()

    found = release.model.predict(RECORD, explain=True, confidence=True, anomaly=True)
    assert f"score {found.score}" in shown
    assert found.contributions[0].feature in shown
    assert "in 90 % of such cases it is false" in shown
    assert f" and {found.confidence.high:.4g};" in shown
    assert "% are as unusual as this one" in shown
    assert PREDICT in line
    assert "torque" in refused
    # Nothing comes from elsewhere; a refusal is told in the console, too.
    assert all(url.startswith(f"http://{server.address}/") for url in asked)
    assert all("422" in text or "favicon" in text or "404" in text for text in wrong)
