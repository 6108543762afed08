"""What a kernel knows of the front end that started it, and what it shows there."""

import html
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def shell() -> Any:
    """Return IPython's shell of this process; None outside IPython, which is not imported for it."""
    return getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()


def notebook_of(shell: Any) -> Path | None:
    """Return the file of the notebook that a kernel runs; None where its front end does not say.

    Jupyter Server says it in ``JPY_SESSION_NAME``, relative to its own folder or to the kernel's; VS Code in ``__vsc_ipynb_file__``.
    """
    named = shell.user_ns.get("__vsc_ipynb_file__") or os.environ.get("JPY_SESSION_NAME")
    if not named or not str(named).endswith(".ipynb"):
        return None
    return next((path for path in (Path(named), Path(Path(named).name)) if path.is_file()), None)


def warn(title: str, lines: Sequence[str], advice: str) -> None:
    """Show a warning in a notebook, in plain text where its front end has no HTML."""
    from IPython.display import display

    items = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
    page = (
        "<div class='hardcover-warning' style='border-left: 4px solid #bf8700; padding: .3em .8em; margin: .3em 0'>"
        f"<b>{html.escape(title)}</b><ul style='margin: .2em 0'>{items}</ul>{html.escape(advice)}</div>"
    )
    text = "\n".join([f"{title}:", *(f"  {line}" for line in lines), advice])
    display({"text/html": page, "text/plain": text}, raw=True)
