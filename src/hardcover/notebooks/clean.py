"""Take from a notebook what a run or an editor left in it: ``clean_notebook.py < in.ipynb > out.ipynb``, or with names in place.

``make lab`` lets git call it for each notebook that it reads (gitattributes, "filter"), so that outputs stay in the working copy
and out of commits. The result is what ``nbdev-clean`` writes, without outputs. Imports little, since git calls it often.
"""

import json
import sys
from pathlib import Path

KEPT_OF_CELL, KEPT_OF_NOTEBOOK = {"tags"}, {"kernelspec"}


def cleaned(text: str) -> str:
    """Return a notebook's JSON without outputs, counts and editors' metadata; what is no notebook stays as it is."""
    try:
        notebook = json.loads(text)
        for cell in notebook["cells"]:
            cell["metadata"] = {
                name: value for name, value in cell["metadata"].items() if name in KEPT_OF_CELL
            }
            if cell["cell_type"] == "code":
                cell["outputs"], cell["execution_count"] = [], None
        metadata = {name: value for name, value in notebook["metadata"].items() if name in KEPT_OF_NOTEBOOK}
        if "name" in metadata.get("kernelspec", {}):
            metadata["kernelspec"]["display_name"] = metadata["kernelspec"]["name"]
        notebook["metadata"] = metadata
    except (ValueError, KeyError, TypeError, AttributeError):
        return text
    return json.dumps(notebook, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def main(paths: list[str]) -> None:
    """Clean standard input, or the named files in place."""
    for path in map(Path, paths):
        path.write_text(cleaned(path.read_text(encoding="utf-8")), encoding="utf-8")
    if not paths:
        sys.stdout.buffer.write(cleaned(sys.stdin.buffer.read().decode()).encode())


if __name__ == "__main__":
    main(sys.argv[1:])
