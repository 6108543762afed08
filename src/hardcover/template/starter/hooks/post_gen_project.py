"""Write the example's project where cookiecutter made a folder for it."""

import sys
from pathlib import Path

from hardcover.errors import HardcoverError
from hardcover.project import exported
from hardcover.template import add, new

if __name__ == "__main__":
    try:
        name = "{{ cookiecutter.python_package }}"
        add.check_name(name, "project")
        new.stamp(Path.cwd(), name, example=True)
        exported.export(Path.cwd())
    except HardcoverError as error:
        sys.exit(f"error: {error}")
