"""What a notebook learns from rows that it later sets apart: fits and statistics of all rows, before a split.

The most frequent leak in public notebooks (C. Yang et al., "Data leakage in notebooks", ASE 2022). The code is read, never run: names
are followed from one statement to the next, in the order of the cells, without loops and branches.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from hardcover.errors import HardcoverError, SourceError
from hardcover.notebooks import cells

FITS = {"fit_transform", "fit_resample", "fit_predict"}
STATISTICS = {"mean", "median", "std", "var", "min", "max", "quantile", "mode", "sum"}
SPLITS = {"train_test_split", "cross_val_score", "cross_validate", "cross_val_predict"}
# The data stage of a project assigns the split after the functions that it is given.
STAGE = "create_pipeline"


class CodeLeak(NamedTuple):
    """A fit before a split: where it is, what it is, and where the rows are set apart."""

    where: str
    code: str
    split: str


def find(file: Path) -> list[CodeLeak]:
    """Return what a notebook, or a Python file, learns from rows before it sets them apart.

    Raises
    ------
    SourceError
        When it cannot be read, or is no code.
    """
    statements = list(_statements(file))
    found = list(_in_order(statements))
    if any("ingest.create_pipeline" in ast.unparse(node) for _, node in statements):
        found += _before_the_stage(statements)
    return found


def _statements(file: Path) -> Iterator[tuple[str, ast.stmt]]:
    try:
        if file.suffix == ".ipynb":
            sources = cells.sources(file, "code")
            parts = [(f"code cell {number}, ", source) for number, source in enumerate(sources, 1)]
        else:
            parts = [("", file.read_text(encoding="utf-8"))]
    except (HardcoverError, OSError, ValueError) as error:
        raise SourceError(f"the code cannot be read: {error}", str(file)) from error
    for place, source in parts:
        # Lines that only IPython understands are no statements.
        plain = "\n".join(
            "" if line.lstrip().startswith(("%", "!")) else line for line in source.splitlines()
        )
        try:
            body = ast.parse(plain).body
        except SyntaxError as error:
            raise SourceError(f"{place}line {error.lineno}: {error.msg}", str(file)) from error
        for node in body:
            yield f"{place}line {node.lineno}", node


def _in_order(statements: list[tuple[str, ast.stmt]]) -> Iterator[CodeLeak]:
    # Of each name, the fit that its value has seen; and what was fitted, which tells only once it transforms.
    seen: dict[str, CodeLeak] = {}
    fitted: dict[str, CodeLeak] = {}
    told: set[str] = set()
    for where, node in statements:
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom):
            continue
        inherited = next((seen[name] for name in sorted(_read(node)) if name in seen), None)
        split = _call(node, SPLITS)
        if split is not None:
            given = [*split.args, *(keyword.value for keyword in split.keywords)]
            for leak in {seen[name] for part in given for name in _read(part) if name in seen}:
                if leak.where not in told:
                    told.add(leak.where)
                    yield leak._replace(split=f"{where}: {_name(split)}")
            continue
        fit, transform = _call(node, {"fit"}), _call(node, {"transform"})
        if fit is not None and isinstance(node, ast.Expr) and _receiver(fit):
            fitted[_receiver(fit)] = CodeLeak(where, ast.unparse(fit), "")
        learned = _learned(node)
        mark = CodeLeak(where, learned, "") if learned else inherited
        mark = mark or (fitted.get(_receiver(transform)) if transform is not None else None)
        for name in _assigned(node):
            if mark:
                seen[name] = mark
            elif isinstance(node, ast.Assign) and any(
                isinstance(each, ast.Name) and each.id == name for each in node.targets
            ):
                seen.pop(name, None)


def _before_the_stage(statements: list[tuple[str, ast.stmt]]) -> Iterator[CodeLeak]:
    for where, node in statements:
        if isinstance(node, ast.FunctionDef) and node.name != STAGE:
            for part in node.body:
                learned = _learned(part)
                if learned:
                    yield CodeLeak(
                        f"{where}, function {node.name}", learned, "the data stage, which splits afterwards"
                    )


def _learned(node: ast.AST) -> str:
    """Return the code of a fit or a statistic of a column that changes values; empty where there is none."""
    call = _call(node, FITS)
    if call is not None:
        return ast.unparse(call)
    for each in ast.walk(node):
        if isinstance(each, ast.BinOp | ast.Call):
            parts = [each.left, each.right] if isinstance(each, ast.BinOp) else each.args
            if isinstance(each, ast.Call) and _name(each) != "fillna":
                continue
            for part in parts:
                inner = _call(part, STATISTICS)
                if inner is not None and isinstance(inner.func, ast.Attribute) and not inner.args:
                    return ast.unparse(each)
    return ""


def _call(node: ast.AST, names: set[str]) -> ast.Call | None:
    return next(
        (each for each in ast.walk(node) if isinstance(each, ast.Call) and _name(each) in names), None
    )


def _receiver(call: ast.Call) -> str:
    return (
        call.func.value.id
        if isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name)
        else ""
    )


def _name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _read(node: ast.AST) -> set[str]:
    """Return the names whose values a piece of code reads."""
    names = (each for each in ast.walk(node) if isinstance(each, ast.Name))
    return {name.id for name in names if isinstance(name.ctx, ast.Load)}


def _assigned(node: ast.stmt) -> Iterator[str]:
    targets = (
        node.targets
        if isinstance(node, ast.Assign)
        else [node.target]
        if isinstance(node, ast.AugAssign | ast.AnnAssign)
        else []
    )
    for target in targets:
        for each in ast.walk(target):
            if isinstance(each, ast.Name):
                yield each.id
