"""The text of a case's notebooks, as cells that its owner reads and edits."""

import json
import pprint
from collections.abc import Iterator
from typing import Any

from hardcover.notebooks import clean
from hardcover.template.features import Made
from hardcover.template.plan import Planned, Proposal

KERNEL = {"kernelspec": {"display_name": "python3", "language": "python", "name": "python3"}}
_ORDER = ("context", "day", "input", "leak", "target")
_NAMES = {"context": "ROWS", "day": "DAYS", "input": "INPUTS", "leak": "LEAKS", "target": "TARGET"}


def notebook(*cells: tuple[str, str, str]) -> str:
    """Return a notebook of cells: an id, ``markdown`` or ``code``, and the source."""
    made = []
    for name, kind, source in cells:
        cell: dict[str, Any] = {
            "cell_type": kind,
            "id": name,
            "metadata": {},
            "source": source.strip().splitlines(True),
        }
        if name == "parameters":
            cell["metadata"] = {"tags": ["parameters"]}
        made.append(cell)
    content = {"cells": made, "metadata": KERNEL, "nbformat": 4, "nbformat_minor": 5}
    return clean.cleaned(json.dumps(content))


def _parameters(case: str) -> tuple[str, str, str]:
    return (
        "parameters",
        "code",
        f"case = {json.dumps(case)}  # the case whose conf/ and data/ are used\n"
        "env = None  # a folder of conf/; None: local\n"
        'params = {}  # overrides, such as {"split.seed": 5}',
    )


def data(case: str, proposal: Proposal) -> str:
    """Return the data notebook: what was found in the file, the schema, how cells are read, and the run."""
    question, planned = proposal.question, proposal.planned
    target = next(column for column in planned if column.part == "target")
    files = ", ".join(proposal.files)
    parts = [part for part in _ORDER if any(column.part == part for column in planned)]
    cells: list[tuple[str, str, str]] = [
        (
            "title",
            "markdown",
            f"# Data: from {files} to clean rows\n\n> Read {files}, refuse what cannot be, and split so that the measured score is honest.",
        ),
        (
            "limits",
            "markdown",
            "#| export\nEvery raw row ends up either clean or in quarantine with all its rejections. The schema says what a row may be.",
        ),
        ("default-exp", "code", f"#| default_exp {case}.data"),
        (
            "imports",
            "code",
            "#| export\nimport pandas as pd\nimport pandera.pandas as pa\nfrom kedro.pipeline import Pipeline\n\nfrom hardcover import ingest",
        ),
        (
            "notebook-imports",
            "code",
            "import matplotlib.pyplot as plt\n\nfrom hardcover import Case\nfrom hardcover.reporting import pictures\n\npictures.use()",
        ),
        _parameters(case),
        ("here", "code", "here = Case(case, env=env, params=params)"),
        ("question", "markdown", _question(proposal, target)),
        ("schema-why", "markdown", _schema_why(planned)),
    ]
    for part in parts:
        lines = [f"    {json.dumps(c.name)}: {c.line}," for c in planned if c.part == part]
        cells.append(
            (f"schema-{part}", "code", "#| export\n" + f"{_NAMES[part]} = {{\n" + "\n".join(lines) + "\n}")
        )
    union = " | ".join(_NAMES[part] for part in parts)
    cells.append(("schema", "code", f'#| export\nSCHEMA = pa.DataFrameSchema({union}, name="{case}")'))
    cells += [
        ("reads-why", "markdown", _reads_why(planned)),
        ("reads", "code", _reads(planned)),
        ("unify", "code", _unify(planned)),
        ("pipeline-why", "markdown", "## The pipeline\n\nThe library's steps as Kedro nodes, with two that are ours: files of any dialect are read, and cells are made plain."),
        ("create-pipeline", "code", _PIPELINE),
        ("run-why", "markdown", f"## The run\n\nAll rows, saved as versions. This is what `kedro run --pipeline {case}.data` does."),
        ("run", "code", _RUN),
        ("clean-why", "markdown", "## What came out\n\nThe version that the next notebook reads: its rows, its hash, what it was made of. In JupyterLab, `here.show(\"clean\").report()` draws every column."),
        ("clean", "code", "here.show(\"clean\")"),
        ("target-why", "markdown", "## What is asked\n\nHow the target is distributed in each part of the split; parts that differ much would make the score hard to believe."),
        ("target-picture", "code", _picture(target.name, question.task or "")),
    ]  # fmt: skip
    return notebook(*cells)


def _question(proposal: Proposal, target: Planned) -> str:
    question = proposal.question
    lines = [
        "## The question",
        "",
        f"`{target.source}` is predicted, as **{question.task}**: {question.why}. Rows are split **{question.split}**: {question.why_split}.",
        f"`conf/base/` says both, as `task` and `split`. The file holds {proposal.rows:,} rows and {proposal.columns} columns.",
    ]
    if proposal.warnings:
        lines += [
            "",
            "What the inspection warned of:",
            "",
            *(f"- {warning}" for warning in proposal.warnings),
        ]
    return "\n".join(lines)


def _schema_why(planned: list[Planned]) -> str:
    lines = [
        "## What a row may be",
        "",
        "The schema is the contract: what the model may see is what it calls an input. Each description is what the inspection found, "
        "which is a sample and no promise: replace `ingest.number` by `ingest.measured(unit, low, high, ...)` where you know what is impossible.",
    ]
    if any(column.part == "leak" for column in planned):
        lines += [
            "",
            "Columns that know the answer are *leaks*. One that is known when the model is asked is taken back by a line below `waivers` in "
            "`conf/base/`, with its reason.",
        ]
    unused = [column for column in planned if column.part == "unused"]
    if unused:
        lines += [
            "",
            "Not read, since a tabular model cannot use them as they are:",
            "",
            *(f"- `{column.source}`: {column.why}" for column in unused),
        ]
    return "\n".join(lines)


def _reads_why(planned: list[Planned]) -> str:
    lines = [
        "## How cells are read",
        "",
        "Every cell arrives as text. `READS` says how a column writes what it means, `SENTINELS` which numbers stand for a missing one.",
    ]
    if not any(column.reads or column.sentinels for column in planned):
        lines.append("Here all of them are plain already.")
    return "\n".join(lines)


def _reads(planned: list[Planned]) -> str:
    used = [column for column in planned if column.part not in {"unused", "day"}]
    reads = {column.source: column.reads for column in used if column.reads}
    sentinels = {column.source: column.sentinels for column in used if column.sentinels}
    text = [
        f"{name} = {pprint.pformat(value, width=100, sort_dicts=False)}"
        for name, value in (("READS", reads), ("SENTINELS", sentinels))
    ]
    return "#| export\n" + "\n".join(text).replace("'", '"')


_UNIFY = '''
#| export
def unify(raw: pd.DataFrame, source: dict, column_mapping: dict, units: dict, *, table: dict) -> pd.DataFrame:
    """Make cells plain, then bring all rows into the schema's columns and units{more}."""
    plain = ingest.without(ingest.plain(raw, READS), SENTINELS)
    {end}
'''


def _unify(planned: list[Planned]) -> str:
    moments = {column.source: column.name for column in planned if column.part == "context"}
    days = ", ".join(f'{c.name}=ingest.days(rows["{moments[c.source]}"])' for c in planned if c.part == "day")
    call = "ingest.unify_files(plain, source, column_mapping, units, table=table)"
    if not days:
        return _UNIFY.format(more="", end=f"return {call}")
    return _UNIFY.format(
        more=", and times into numbers", end=f"rows = {call}\n    return rows.assign({days})"
    )


_PIPELINE = '''
#| export
def create_pipeline() -> Pipeline:
    """Read, unify, quarantine, split and report: from raw files to `clean`."""
    return ingest.create_pipeline(SCHEMA, read=ingest.read_any, unify=unify)
'''
_RUN = """
result = here.run(create_pipeline())
facts = here.load("data_report")
assert facts["rows"] == facts["clean"] + facts["quarantined"]
print(facts["source"], "| split by", facts["split_by"])
result
"""


def _picture(target: str, task: str) -> str:
    if task in {"binary", "multiclass"}:
        draw = (
            f'shares = clean.groupby("split")[{json.dumps(target)}].value_counts(normalize=True).unstack(fill_value=0)\n'
            "figure, axis = plt.subplots(figsize=(7, 2.6))\n"
            "shares.plot.barh(stacked=True, ax=axis)\n"
            f'axis.set(xlabel="share of rows", ylabel="", title={json.dumps(target + " in each part")})\n'
        )
    else:
        draw = (
            "figure, axis = plt.subplots(figsize=(7, 2.6))\n"
            'for part, rows in clean.groupby("split"):\n'
            f'    axis.hist(rows[{json.dumps(target)}], bins=50, density=True, histtype="step", label=part)\n'
            "axis.legend()\n"
            f'axis.set(xlabel={json.dumps(target)}, ylabel="density", title={json.dumps(target + " in each part")})\n'
        )
    return (
        'clean = here.load("clean")\n'
        + draw
        + 'assert set(clean["split"]) >= {"train", "validation", "holdout"}'
    )


def features(case: str, proposal: Proposal) -> str:
    """Return the features notebook: all inputs as they are, features worth having, room for one's own, and the run."""
    inputs = [column for column in proposal.planned if column.part in {"input", "day"}]
    listed = "\n".join(f"- `{column.name}`: {column.why}" for column in inputs)
    return notebook(
        ("title", "markdown", "# Features: what the model sees\n\n> All inputs as they are, and features of your own as plain functions of floats or columns."),
        ("limits", "markdown", "#| export\nA function's name is the feature, its parameters are inputs or other features. A float and a column give the same bits, and\nthis file travels into the wheel unchanged."),
        ("default-exp", "code", f"#| default_exp {case}.features"),
        ("imports", "code", "#| export\nimport math"),
        ("notebook-imports", "code", "import __main__\nfrom hardcover import Case\nfrom hardcover.modelling import features"),
        _parameters(case),
        ("here", "code", "here = Case(case, env=env, params=params)\nclean = here.load(\"clean\")"),
        ("inputs", "markdown", f"## The inputs\n\n{listed}"),
        *(cell for made in proposal.made for cell in _made(made)),
        ("own-why", "markdown", "## Features of your own\n\nA ratio, a difference or a logarithm that you know to matter saves a tree many splits. Write it as a function below `#| export`, look at it, and run."),
        ("bounded", "code", "#| export\ndef _bounded(value, low, high):\n    \"\"\"A helper; its underscore keeps it from being a feature.\"\"\"\n    return (abs(value - low) - abs(value - high) + low + high) / 2"),
        ("bounded-call", "code", "assert math.isclose(_bounded(5.0, 0.0, 3.0), 3.0)"),
        ("run-why", "markdown", "## The run\n\nThe functions of this notebook, as one Kedro node over all clean rows. The pipeline around them is the library's."),
        ("run", "code", "result = here.run(features.create_pipeline(__main__))\nmade = here.load(\"features\")\nassert len(made) == len(clean)\nresult"),
    )  # fmt: skip


def _made(made: Made) -> Iterator[tuple[str, str, str]]:
    yield f"{made.name}-why", "markdown", made.why
    yield made.name, "code", f"#| export\n{made.code}"
    yield f"{made.name}-check", "code", made.check
