"""The how-to pages, done as they stand, in one project from the first page to the last."""

import json
import re

import yaml

from hardcover.template import new, notebooks
from tests import projects
from tests.conftest import ROOT

PAGES = ["add-a-feature", "add-a-case", "add-a-source", "add-a-metric", "add-a-stage"]
BLOCK = re.compile(r"(?:^<!-- (.*?) -->\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Reader:
    """Somebody who does what a page says."""

    def __init__(self, project):
        self.project = project
        self.said, self.notebook = "", None

    def follow(self, page):
        """Do all that a page says; returns the lines that it promised and that did not come."""
        unmet = []
        for order, language, text in BLOCK.findall(page):
            if language == "sh":
                self.said = projects.call(self.project, "/bin/bash", "-euc", text).stdout
            elif language == "text":
                unmet += self._unmet(text)
            elif order.startswith("notebook ") or (not order and language == "python"):
                self._cell_of_new_notebook(order, text)
            elif order.startswith("add to "):
                self._add(self.project / order.removeprefix("add to "), yaml.safe_load(text))
            else:
                self._cell(
                    *re.fullmatch(
                        r"cell (after|before) (\S+) in (\S+)|replace (\S+) in (\S+)", order
                    ).groups(),
                    text,
                )
        return unmet

    def _unmet(self, text):
        """Return the lines that the last command did not print."""
        lines = text.splitlines()
        wanted = [".*".join(re.escape(part.strip()) for part in line.split("...")) for line in lines]
        return [
            line for line, pattern in zip(lines, wanted, strict=True) if not re.search(pattern, self.said)
        ]

    def _cell_of_new_notebook(self, order, text):
        path = self.project / order.removeprefix("notebook ") if order else self.notebook
        cells = json.loads(path.read_text())["cells"] if path.exists() else []
        name = "parameters" if text.startswith("case = ") else f"cell-{len(cells)}"
        known = [(cell["id"], cell["cell_type"], "".join(cell["source"])) for cell in cells]
        path.write_text(notebooks.notebook(*known, (name, "code", text)))
        self.notebook = path

    def _add(self, file, values):
        def merged(old, new):
            return {
                **old,
                **{
                    key: merged(old.get(key, {}), value) if isinstance(value, dict) and key in old else value
                    for key, value in new.items()
                },
            }

        file.write_text(yaml.safe_dump(merged(yaml.safe_load(file.read_text()), values), allow_unicode=True))

    def _cell(self, side, beside, path, replaced, path_of_replaced, text):
        file = self.project / (path or path_of_replaced)
        whole = json.loads(file.read_text())
        names = [cell["id"] for cell in whole["cells"]]
        if replaced:
            whole["cells"][names.index(replaced)]["source"] = text.strip().splitlines(True)
        else:
            cell = {"cell_type": "code", "id": "new" if "new" not in names else "newer", "metadata": {}, "outputs": [],
                    "execution_count": None, "source": text.strip().splitlines(True)}  # fmt: skip
            whole["cells"].insert(names.index(beside) + (side == "after"), cell)
        file.write_text(json.dumps(whole))


def test_every_page_does_what_it_says(tmp_path, subtests):
    project = tmp_path / "playground"
    new.write(project)
    reader = Reader(project)
    for page in PAGES:
        with subtests.test(page):
            unmet = reader.follow((ROOT / "docs" / "how-to" / f"{page}.md").read_text())
            assert unmet == [], reader.said


def test_every_page_is_among_them_and_the_readme_leads_to_it():
    assert {path.stem for path in (ROOT / "docs" / "how-to").glob("*.md")} == {*PAGES}
    readme = (ROOT / "README.md").read_text()
    for page in PAGES:
        assert f"docs/how-to/{page}.md" in readme
