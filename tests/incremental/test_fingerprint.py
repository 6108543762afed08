"""Fingerprints: what changes a result changes them, what does not leaves them, and no face has its own."""

import functools
import gc
import importlib
import math
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hardcover import settings
from hardcover.errors import FeatureError
from hardcover.incremental import definitions, fingerprint

HELPERS = """
import math
SCALE = 2
def helper(x):
    return scale(x) + math.pi
def scale(x):
    return x * SCALE
def unused(x):
    return x
"""
MAIN = """
from {helpers} import helper
from {helpers} import scale as widen
import {helpers} as tools
import numpy as np
LIMITS = {{"low": 1, "high": 2}}
def direct(x):
    return helper(x)
def by_module(x):
    return tools.scale(x)
def by_alias(x):
    return widen(x)
def by_constant(x):
    return x < LIMITS["high"]
def inside(x):
    from {helpers} import scale
    return scale(x)
def apart(unused):
    return np.sin(unused)
def rebound(x):
    return x
rebound = functools_like(rebound) if False else rebound
def round(x):
    return x + 1
ROUNDED = round(1.4)
def by_rounded(x):
    return x * ROUNDED
class Model:
    def fit(self, x):
        return self.prepare(x)
    def prepare(self, x):
        return x + 7
def by_decorator(x):
    @functools_like
    def wrapped(y):
        return helper(y)
    return wrapped(x)
def functools_like(f):
    return f
class Grower:
    def __init__(self, factor):
        self.factor = factor
    def __call__(self, x):
        return tools.scale(x) * self.factor
def make(factor):
    def made(x):
        return direct(x) * factor
    return made
"""


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Write the two modules, edited, into a project of their own and import the second."""
    (tmp_path / "pyproject.toml").write_text("[tool.kedro]\n")
    monkeypatch.setenv("HARDCOVER_PROJECT", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    settings.project_root.cache_clear()
    definitions._in_project.cache_clear()
    count = iter(range(1000))

    def write(edit_helpers=lambda text: text, edit_main=lambda text: text):
        number = next(count)
        helpers, main = f"tools_{tmp_path.name}_{number}", f"main_{tmp_path.name}_{number}"
        (tmp_path / f"{helpers}.py").write_text(edit_helpers(HELPERS))
        (tmp_path / f"{main}.py").write_text(edit_main(MAIN.format(helpers="tools_now")))
        # Under one name, since a module's name is part of what is reached.
        monkeypatch.setitem(sys.modules, "tools_now", importlib.import_module(helpers))
        module = importlib.import_module(main)
        # Now, as the next call puts other helpers under the name.
        module.hashes = hashes(module)
        return module

    yield write
    settings.project_root.cache_clear()
    definitions._in_project.cache_clear()


def hashes(module) -> dict[str, str]:
    names = (
        "direct",
        "by_module",
        "by_alias",
        "by_constant",
        "inside",
        "apart",
        "by_decorator",
        "rebound",
        "by_rounded",
    )
    return {name: fingerprint.code_of(getattr(module, name)).hash for name in names}


def changed(before, after) -> set[str]:
    return {name for name, value in before.hashes.items() if value != after.hashes[name]}


def replace(old: str, new: str):
    def edit(text: str) -> str:
        assert old in text
        return text.replace(old, new)

    return edit


def test_comments_layout_and_docstrings_change_nothing(load):
    before = load()

    assert changed(before, load(replace("return scale(x)", "# why\n    return  scale( x )"))) == set()
    assert changed(before, load(replace("def helper(x):", 'def helper(x):\n    """Help."""'))) == set()
    assert (
        changed(
            before, load(edit_main=replace("def apart(unused):", '# new\ndef apart(unused):\n    "Sine."'))
        )
        == set()
    )


def test_a_changed_helper_changes_all_that_reach_it_and_nothing_else(load):
    before = load()

    assert changed(before, load(replace("+ math.pi", "+ math.e"))) == {"direct", "by_decorator"}
    assert changed(before, load(replace("x * SCALE", "SCALE * x"))) == {
        "direct",
        "by_module",
        "by_alias",
        "inside",
        "by_decorator",
    }
    assert (
        changed(before, load(replace("def unused(x):\n    return x", "def unused(x):\n    return -x")))
        == set()
    )


def test_a_changed_constant_changes_what_uses_it(load):
    before = load()

    assert changed(before, load(replace("SCALE = 2", "SCALE = 3"))) == {
        "direct",
        "by_module",
        "by_alias",
        "inside",
        "by_decorator",
    }
    assert changed(before, load(edit_main=replace('"high": 2', '"high": 3'))) == {"by_constant"}


def test_what_a_name_meant_before_it_was_bound_again_counts(load):
    before = load()

    assert changed(
        before, load(edit_main=replace("def rebound(x):\n    return x", "def rebound(x):\n    return -x"))
    ) == {"rebound"}


def test_a_helper_that_has_a_builtins_name_counts(load):
    before = load()

    assert changed(before, load(edit_main=replace("return x + 1", "return x + 2"))) == {"by_rounded"}


def test_a_method_counts_with_its_whole_class(load):
    before = fingerprint.code_of(load().Model().fit).hash

    after = load(edit_main=replace("return x + 7", "return x + 8")).Model().fit
    assert fingerprint.code_of(after).hash != before


def test_a_change_in_its_own_body_changes_a_function(load):
    assert changed(load(), load(edit_main=replace("np.sin(unused)", "np.cos(unused)"))) == {"apart"}


def test_libraries_that_are_reached_count_with_their_versions(load):
    module = load()

    assert set(fingerprint.code_of(module.apart).libraries) == {"python", "numpy"}
    assert set(fingerprint.code_of(module.direct).libraries) == {"python"}


def test_what_a_closure_a_partial_or_an_object_holds_counts(load):
    module = load()

    two, again, three = (fingerprint.code_of(module.make(factor)).hash for factor in (2, 2, 3))
    assert two == again != three
    one = fingerprint.code_of(functools.partial(module.direct, x=1)).hash
    assert one != fingerprint.code_of(functools.partial(module.direct, x=2)).hash
    assert fingerprint.code_of(module.Grower(1)).hash != fingerprint.code_of(module.Grower(2)).hash
    before = fingerprint.code_of(module.Grower(1)).hash
    assert fingerprint.code_of(load(replace("x * SCALE", "SCALE * x")).Grower(1)).hash != before


def test_a_value_without_a_stable_form_is_refused_by_name(load):
    module = load()

    with pytest.raises(FeatureError, match=r"'factor' holds a object, which has no stable fingerprint"):
        fingerprint.code_of(module.make(object()))


def test_a_function_of_a_library_counts_with_the_library_only():
    code = fingerprint.code_of(math.factorial)

    assert code.parts == {"math:factorial": "library"}


def test_a_notebooks_function_has_the_fingerprint_of_its_module(load, tmp_path, monkeypatch):
    module = load()
    exported = hashes(module)
    # The kernel's state: cells in the order that they were run, an earlier draft and a magic among them.
    source = MAIN.format(helpers="tools_now")
    cells = [
        "",
        "%matplotlib inline\nunused = 5",
        "def apart(unused):\n    return 1",
        *_cells_of(source),
        "this is no python",
    ]
    main = type(sys)("__main__")
    main.In = cells
    monkeypatch.setitem(sys.modules, "__main__", main)
    for cell in cells[3:-1]:
        exec(compile(cell, "cell", "exec"), main.__dict__)

    assert main.apart.__module__ == "__main__"
    assert hashes(main) == exported


def _cells_of(source: str) -> list[str]:
    import ast

    return [ast.unparse(statement) for statement in ast.parse(source).body]


def test_a_file_that_the_code_names_beside_its_module_counts(tmp_path, monkeypatch):
    package = tmp_path / "src" / "beside"
    package.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text("[tool.kedro]\n")
    (package / "__init__.py").write_text(
        'NAME = "program.c"\ndef read():\n    return open(NAME)\ndef other():\n    return "elsewhere.c"\n'
    )
    (package / "program.c").write_text("int main;")
    monkeypatch.syspath_prepend(tmp_path / "src")
    monkeypatch.setattr(definitions, "_in_project", lambda file: Path(file).is_relative_to(tmp_path))
    import beside

    before, apart = fingerprint.code_of(beside.read), fingerprint.code_of(beside.other)
    (package / "program.c").write_text("int main ;")

    assert fingerprint.code_of(beside.read).hash != before.hash
    assert fingerprint.code_of(beside.other) == apart
    assert "NAME:program.c" in before.parts


def test_nodes_in_several_threads_read_definitions_at_once():
    source = Path(definitions.__file__).read_text(encoding="utf-8")
    # A collection in the middle of parsing runs Python, which lets another thread in.
    hand_over = lambda *_: time.sleep(0)  # noqa: E731
    often = gc.get_threshold()
    gc.callbacks.append(hand_over)
    gc.set_threshold(200)
    try:
        with ThreadPoolExecutor(4) as pool:
            read = list(pool.map(lambda _: definitions.Namespace("m", "", [source]).statements, range(8)))
    finally:
        gc.set_threshold(*often)
        gc.callbacks.remove(hand_over)
    assert all("Namespace" in statements for statements in read)


def test_the_kernel_is_a_part_of_every_release():
    from hardcover.release import wheel

    assert {
        f"hardcover.release.compiler:SOURCES:{name}" for name in ("kernel.c", "lanes.h", "shapley.h")
    } <= set(fingerprint.code_of(wheel.build).parts)
