"""What Jupyter Server does for a project: it exports a notebook's module when the notebook is saved, and says what became of it."""

import asyncio
import json
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import tornado.web
from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join

from hardcover.lab import saving
from hardcover.lab.saving import Outcome


class Exports:
    """The newest export of each notebook, one at a time and away from the thread that serves."""

    def __init__(self, log: Any):
        self._log = log
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="hardcover-export")
        self._found: dict[Path, Future[Outcome]] = {}

    def saved(self, os_path: str, model: dict, contents_manager: Any, **_: Any) -> None:
        """Export a notebook that was saved (a post-save hook of Jupyter Server's contents managers)."""
        if model.get("type") == "notebook":
            notebook = Path(os_path).resolve()
            self._found[notebook] = self._worker.submit(self._export, notebook)

    def _export(self, notebook: Path) -> Outcome:
        found = saving.export(notebook)
        if found.state == saving.REFUSED:
            self._log.warning("%s is kept as it was: %s", found.module or notebook.name, found.why)
        elif found.state == saving.EXPORTED:
            self._log.info("exported %s", found.module)
        return found

    async def outcome(self, notebook: Path) -> Outcome:
        """Return what became of a notebook's module at its last save, once that is over."""
        known = self._found.get(notebook.resolve())
        return await asyncio.wrap_future(known) if known else Outcome(saving.NONE)


class ExportHandler(APIHandler):
    """``GET /hardcover/exported?path=PATH``: what became of the module of a notebook, as `saving.Outcome` in JSON."""

    def initialize(self, exports: Exports, root: Path) -> None:
        """Take what `attach` made."""
        self.exports, self.root = exports, root

    @tornado.web.authenticated
    async def get(self) -> None:
        """Answer when a running export is over."""
        notebook = self.root / self.get_query_argument("path").lstrip("/")
        self.finish(json.dumps((await self.exports.outcome(notebook))._asdict()))


def attach(server: Any) -> None:
    """Register the hook and the handler with a running Jupyter Server; nothing where notebooks are no files of this machine."""
    if not hasattr(server.contents_manager, "root_dir"):
        return
    exports = Exports(server.log)
    server.contents_manager.register_post_save_hook(exports.saved)
    root = Path(server.contents_manager.root_dir)
    address = url_path_join(server.web_app.settings["base_url"], "hardcover", "exported")
    server.web_app.add_handlers(".*", [(address, ExportHandler, {"exports": exports, "root": root})])
