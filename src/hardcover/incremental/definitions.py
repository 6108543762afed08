"""The definitions of a module or a notebook as source, by name, and what each of them uses."""

import ast
import importlib.util
import os
import re
import symtable
import sys
import threading
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

from hardcover import settings

MAIN = "__main__"
# CPython 3.11 counts the depth of a tree for all threads together: a second one that parses meanwhile makes
# either fail with a SystemError (python/cpython#106905).
_PARSING = threading.Lock()
_FILE = re.compile(r"(?:\.\./)*[\w-][\w/.-]{0,100}\.\w{1,8}")


class Uses(NamedTuple):
    """What a statement uses from outside itself.

    Attributes
    ----------
    imports
        Module, and name in it or None, by the name that an import inside the statement binds.
    names
        Global names, each with the attributes taken from it.
    texts
        Texts that could name a file.
    """

    imports: dict[str, tuple[str, str | None]]
    names: tuple[tuple[str, tuple[str, ...]], ...]
    texts: set[str]


class Namespace:
    """The definitions at the top level of a module or of a notebook, by name, as source.

    Attributes
    ----------
    statements
        What binds a name, in order; a new definition replaces those before it.
    imports
        Module, and name in it or None, by the name that an import binds.
    """

    def __init__(self, name: str, package: str, sources: Iterable[str], file: Path | None = None):
        self.name, self.package, self.file = name, package, file
        self.statements: dict[str, list[ast.stmt]] = {}
        self.imports: dict[str, tuple[str, str | None]] = {}
        # Statements are known by their ids, which stay theirs only as long as they are there.
        self._trees: list[ast.AST] = []
        self._globals: dict[int, set[str]] = {}
        self._normal: dict[int, str] = {}
        self._uses: dict[int, Uses] = {}
        for source in sources:
            self._read(source)

    def _read(self, source: str) -> None:
        with _PARSING:
            parsed = ast.parse(source)
        tree = _Normal(self).visit(parsed)
        self._trees.append(tree)
        tables = {(table.get_name(), table.get_lineno()): table for table in _top_tables(source)}
        for statement in tree.body:
            for alias, target in self.imports_in(statement) if not is_scope(statement) else ():
                self.imports[alias] = target
                self.statements.pop(alias, None)
            if isinstance(statement, ast.Import | ast.ImportFrom | ast.Expr):
                continue
            if is_scope(statement):
                table = tables.get((statement.name, statement.lineno))
                self._globals[id(statement)] = _globals_of(table) if table else _names_in(statement)
            fresh = is_scope(statement) or isinstance(statement, ast.Assign | ast.AnnAssign)
            for name in _bound(statement):
                self.imports.pop(name, None)
                before = [] if fresh and not _loads(statement, name) else self.statements.get(name, [])
                self.statements[name] = [*before, statement]

    def imports_in(self, statement: ast.stmt) -> Iterator[tuple[str, tuple[str, str | None]]]:
        """Return what the imports anywhere in a statement bind."""
        for part in ast.walk(statement):
            if isinstance(part, ast.Import):
                for alias in part.names:
                    name = alias.asname or alias.name.partition(".")[0]
                    yield name, (alias.name if alias.asname else name, None)
            elif isinstance(part, ast.ImportFrom):
                for alias in part.names:
                    yield alias.asname or alias.name, (self._absolute(part), alias.name)

    def _absolute(self, part: ast.ImportFrom) -> str:
        if not part.level:
            return part.module or ""
        if not self.package:
            return part.module or ""
        return importlib.util.resolve_name("." * part.level + (part.module or ""), self.package)

    def uses(self, statement: ast.stmt) -> Uses:
        """Return what a statement uses from outside itself."""
        if id(statement) not in self._uses:
            local = dict(self.imports_in(statement))
            texts = {
                part.value
                for part in ast.walk(statement)
                if isinstance(part, ast.Constant)
                and isinstance(part.value, str)
                and _FILE.fullmatch(part.value)
            }
            names = tuple(dict.fromkeys(self._used(statement, local.keys())))
            self._uses[id(statement)] = Uses(local, names, texts)
        return self._uses[id(statement)]

    def _used(self, statement: ast.stmt, local: Iterable[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
        known = self._globals.get(id(statement))
        names = _names_in(statement) if known is None else known | _outer_names(statement)
        # Names that imports inside the statement bind are local to it, and still lead elsewhere.
        names.update(local)
        inside: set[int] = set()
        for part in ast.walk(statement):
            if isinstance(part, ast.Attribute) and id(part) not in inside:
                rest, base = [], part
                while isinstance(base, ast.Attribute):
                    inside.add(id(base))
                    rest.insert(0, base.attr)
                    base = base.value
                if isinstance(base, ast.Name):
                    inside.add(id(base))
                    if base.id in names:
                        yield base.id, tuple(rest)
            elif isinstance(part, ast.Name) and id(part) not in inside and part.id in names:
                yield part.id, ()

    def normal(self, statement: ast.stmt) -> str:
        """Return a statement without comments, layout and docstrings, as text."""
        if id(statement) not in self._normal:
            self._normal[id(statement)] = ast.dump(statement)
        return self._normal[id(statement)]

    def files_named(self, statements: Iterable[ast.stmt]) -> list[Path]:
        """List the files that texts in the statements name from the module's folder; other modules are none of them."""
        if self.file is None:
            return []
        texts = set().union(*(self.uses(statement).texts for statement in statements))
        files = [self.file.parent / text for text in sorted(texts)]
        return [file for file in files if file.suffix != ".py" and file.is_file()]

    def with_submodules(self) -> Iterator["Namespace"]:
        """Return this module and, for a package, all modules in it."""
        yield self
        if self.file and self.file.name == "__init__.py":
            for path in sorted(self.file.parent.glob("*.py")):
                inner = space_of(f"{self.name}.{path.stem}") if path != self.file else None
                if inner:
                    yield inner


class _Normal(ast.NodeTransformer):
    def __init__(self, space: Namespace):
        self._space = space

    def visit_FunctionDef(self, node):
        self.generic_visit(node)
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        return node

    visit_AsyncFunctionDef = visit_ClassDef = visit_FunctionDef  # noqa: N815

    def visit_ImportFrom(self, node):
        return ast.ImportFrom(self._space._absolute(node), node.names, 0)


def is_scope(statement: ast.AST) -> bool:
    """Check whether a statement defines a function or a class."""
    return isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)


def _bound(statement: ast.stmt) -> set[str]:
    if is_scope(statement):
        return {statement.name}
    stored = (
        part.id
        for part in ast.walk(statement)
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)
    )
    return {*stored, *(part.name for part in ast.walk(statement) if is_scope(part))}


def _loads(statement: ast.stmt, name: str) -> bool:
    """Check whether an assignment builds on what its name meant before, as ``f = wrap(f)`` does."""
    if is_scope(statement):
        return False
    return any(
        isinstance(part, ast.Name) and part.id == name and isinstance(part.ctx, ast.Load)
        for part in ast.walk(statement)
    )


def _names_in(*parts: ast.AST) -> set[str]:
    return {inner.id for part in parts for inner in ast.walk(part) if isinstance(inner, ast.Name)}


def _outer_names(statement: ast.stmt) -> set[str]:
    """Names in what is evaluated outside a definition's own scope: decorators, defaults, annotations, bases."""
    parts = list(statement.decorator_list)
    if isinstance(statement, ast.ClassDef):
        return _names_in(*parts, *statement.bases, *(keyword.value for keyword in statement.keywords))
    return _names_in(*parts, statement.args, *([statement.returns] if statement.returns else []))


def _top_tables(source: str) -> list[symtable.SymbolTable]:
    return symtable.symtable(source, "<source>", "exec").get_children()


def _globals_of(table: symtable.SymbolTable) -> set[str]:
    found = {
        symbol.get_name() for symbol in table.get_symbols() if symbol.is_global() and symbol.is_referenced()
    }
    return found.union(*(_globals_of(inner) for inner in table.get_children()))


def space_of(module: str) -> Namespace | None:
    """Read a module's definitions, or those of the notebook that is running; None outside the project."""
    if module == MAIN:
        return _main()
    file = _file_of(module)
    if file is None or not _in_project(file):
        return None
    return _read(module, file, os.stat(file).st_mtime_ns)  # noqa: PTH116


@cache
def _read(module: str, name: str, changed: int) -> Namespace:
    file = Path(name)
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    return Namespace(module, package, [file.read_text(encoding="utf-8")], file)


def of_notebook(cells: Iterable[str]) -> Namespace:
    """Read the definitions in a notebook's code cells; cells that are no Python are passed over."""
    return _notebook(tuple(cells))


@lru_cache(maxsize=8)
def _notebook(cells: tuple[str, ...]) -> Namespace:
    sources = (cell if _is_python(cell) else _without_magics(cell) for cell in cells)
    return Namespace(MAIN, "", [source for source in sources if _is_python(source)])


def _is_python(source: str) -> bool:
    try:
        symtable.symtable(source, "<cell>", "exec")
    except (SyntaxError, ValueError):
        return False
    return True


def _without_magics(cell: str) -> str:
    # Slow to import, and few cells have any.
    from IPython.core.inputtransformer2 import TransformerManager

    return TransformerManager().transform_cell(cell)


def _main() -> Namespace | None:
    """Read the cells that this notebook's kernel has run, or the script that is running."""
    main = sys.modules[MAIN]
    if hasattr(main, "In"):
        return of_notebook(main.In)
    file = getattr(main, "__file__", None)
    return _read(MAIN, file, Path(file).stat().st_mtime_ns) if file else None


# Asked thousands of times in planning: a text, since a path takes longer to make than to look up.
def _file_of(module: str) -> str | None:
    loaded = sys.modules.get(module)
    if loaded is not None:
        file = getattr(loaded, "__file__", None)
        return file if file and file.endswith(".py") else None
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError, AttributeError):
        return None
    return spec.origin if spec and spec.origin and spec.origin.endswith(".py") else None


@cache
def _in_project(name: str) -> bool:
    file = Path(name).resolve()
    return file.is_relative_to(settings.project_root()) and "site-packages" not in file.parts
