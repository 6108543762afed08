"""Let git show and merge notebooks as notebooks, in this clone alone: ``python -m hardcover.lab.git_drivers``, which ``make lab`` calls.

``.gitattributes`` names the drivers; where git finds them is a setting of a clone. Diffs and merges are nbdime's
(https://nbdime.readthedocs.io/en/latest/vcs.html); outputs stay in the working copy and out of commits.
"""

import subprocess
import sys
from pathlib import Path


def set_up(folder: Path) -> bool:
    """Set the drivers of the clone that a folder is in; returns whether it is in one."""
    programs = Path(sys.executable).parent
    drivers = {
        "filter.notebook.clean": f'"{sys.executable}" -m hardcover.notebooks.clean',
        "diff.jupyternotebook.command": f'"{programs / "git-nbdiffdriver"}" diff',
        "merge.jupyternotebook.driver": f'"{programs / "git-nbmergedriver"}" merge %O %A %B %L %P',
        "merge.jupyternotebook.name": "notebooks, by nbdime",
    }
    return all(
        subprocess.run(
            ["git", "config", name, value], cwd=folder, capture_output=True, check=False
        ).returncode
        == 0
        for name, value in drivers.items()
    )


if __name__ == "__main__":
    set_up(Path.cwd())
