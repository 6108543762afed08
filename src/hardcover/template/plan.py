"""What becomes of each column of a file in a case: its name there, its line in the schema, and how its cells are read."""

import json
from typing import NamedTuple

from hardcover.errors import DataError
from hardcover.ingest import any_dialect
from hardcover.ingest.schema import RESERVED
from hardcover.inspection.cells import PLAIN, WRITTEN
from hardcover.inspection.columns import Column
from hardcover.inspection.questions import Question
from hardcover.inspection.report import Inspection
from hardcover.template import features
from hardcover.template.features import Made

MAX_LEVELS = 100
_ABOUT_ROWS = {"entity", "time", "duplicates"}


class Planned(NamedTuple):
    """A column of a case.

    Attributes
    ----------
    source, name
        Its name in the file, and in the case.
    part
        ``target``, ``input``, ``leak`` or ``context``; ``day`` of a number that is made of a time of the source's; ``unused`` where
        the case does not read it.
    line
        The expression that describes it in the schema; empty for an unused one.
    why
        One sentence on its role.
    reads
        How its cells read, as `ingest.plain` takes it; None where they are plain already.
    sentinels
        Numbers that stand for a missing one.
    unit
        Of a number; 1 where it has none.
    """

    source: str
    name: str
    part: str
    line: str
    why: str
    reads: str | dict[str, str] | None
    sentinels: list[str]
    unit: str = "1"


class Proposal(NamedTuple):
    """A case as it is proposed: what is asked of which files, and what becomes of each column.

    Attributes
    ----------
    target, files
        The names of the column that is predicted, and of the files that were inspected.
    rows, columns
        How many the files have.
    question, warnings
        As the inspection says them, or the user instead.
    planned
        The columns, in the files' order; a number made of a time comes after it.
    made
        Features of them.
    data
        Where the project has the files; none where they are too large to bring in, and lie somewhere on one machine.
    """

    target: str
    files: list[str]
    rows: int
    columns: int
    question: Question
    warnings: list[str]
    planned: list[Planned]
    made: list[Made]
    data: tuple[str, ...] = ()

    def to_json(self) -> str:
        """Return the proposal as JSON, which ``from_json`` reads."""
        facts = self._asdict() | {
            "question": self.question._asdict(),
            "planned": [each._asdict() for each in self.planned],
            "made": [each._asdict() for each in self.made],
        }
        return json.dumps(facts, indent=1, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "Proposal":
        """Return the proposal that a text of ``to_json`` says."""
        facts = json.loads(text)
        facts |= {
            "question": Question(**facts["question"]),
            "planned": [Planned(**each) for each in facts["planned"]],
            "made": [Made(**each) for each in facts.get("made", [])],
            "data": tuple(facts["data"]),
        }
        return cls(**facts)


def of(found: Inspection) -> Proposal:
    """Return the case that predicts the inspection's target.

    Raises
    ------
    DataError
        When no model can be asked, or no column is left to learn from.
    """
    question = found.question
    assert question is not None, "a plan needs a target"
    if question.task is None:
        raise DataError(
            f"no model can be asked: {question.why}", f"target {found.target!r}", "Name another --target."
        )
    leaking = {leak.column: leak for leak in found.leaks if leak.kind not in _ABOUT_ROWS}
    taken, planned, key = set(RESERVED), [], False
    for column in found.columns:
        name = any_dialect.identifier(column.name, taken)
        taken.add(name)
        if column.name == found.target:
            planned.append(_target(column, name, question.task, question.positive))
        elif column.name in leaking:
            leak = leaking[column.name]
            planned.append(_leak(found, column, name, f"{leak.kind}: {leak.evidence}"))
        elif column.role == "id" and column.missing == 0 and not key:
            key = True
            planned.append(_text(column, name, "context", 'ingest.text("key", {}, unique=True)'))
        elif column.name == question.entity:
            planned.append(_text(column, name, "context", 'ingest.text("entity", {}, nullable=True)'))
        elif column.name == question.time:
            reads = column.facts["days"] or column.reading
            line = f'ingest.moment("time", {_quoted(column.evidence)}, nullable=False)'
            planned.append(Planned(column.name, name, "context", line, column.evidence, reads, []))
        else:
            planned.append(_input(found, column, name))
        if reads_as_days(column) and planned[-1].part == "context":
            planned.append(_day(column, name, any_dialect.identifier(f"{name}_day", taken), question.split))
            taken.add(planned[-1].name)
    if not any(column.part == "input" for column in planned):
        raise DataError(
            "no column is left that a model could learn from",
            f"target {found.target!r}",
            "'hardcover inspect' says what each column is.",
        )
    files = [facts["file"] for facts in found.table.files]
    made = [*features.of_days(found, planned, taken), *features.of_units(planned, taken)]
    return Proposal(
        found.target or "",
        files,
        found.table.rows,
        len(found.columns),
        question,
        found.warnings,
        planned,
        made,
    )


def reads_as_days(column: Column) -> bool:
    """Check whether a column holds times whose cells can be read one way."""
    return column.role == "date" and column.facts["days"] in any_dialect.DAYS


def _day(column: Column, name: str, day: str, split: str) -> Planned:
    later = split in {"time", "entity_time"}
    why = f"days since 1970-01-01 of {name}"
    why += ": for features; itself it lies beyond what was learned" if later else ""
    role = ', role="ingredient"' if later else ""
    return Planned(column.name, day, "day", f'ingest.number("d", {_quoted(why)}{role})', why, None, [])


def _target(column: Column, name: str, task: str, positive: str | None) -> Planned:
    evidence = _quoted(column.evidence)
    if task == "binary":
        other = next(value for value, _ in column.facts["values"] if value != positive)
        reads = None if (positive, other) == ("1", "0") else {str(positive): "1", other: "0"}
        said = _quoted(f"whether it is {positive}") if reads else evidence
        return Planned(
            column.name, name, "target", f'ingest.flag("target", {said})', column.evidence, reads, []
        )
    if task == "multiclass":
        levels = sorted(value for value, _ in column.facts["values"])
        line = f'ingest.category("target", {_listed(levels)}, {evidence})'
        return Planned(column.name, name, "target", line, column.evidence, None, [])
    line = f'ingest.number("1", {evidence}, role="target", nullable=False)'
    return Planned(
        column.name, name, "target", line, column.evidence, _number(column), list(column.sentinels)
    )


def _input(found: Inspection, column: Column, name: str) -> Planned:
    evidence = _quoted(column.evidence)
    if column.role in {"numeric", "embedded number"} and column.reading in PLAIN:
        unit = _unit(column)
        line = f'ingest.number("{unit}", {evidence})'
        return Planned(
            column.name, name, "input", line, column.evidence, _number(column), list(column.sentinels), unit
        )
    if column.role in {"boolean", "categorical", "ordinal", "code"} and column.distinct <= MAX_LEVELS:
        return _category(found, column, name)
    if reads_as_days(column):
        line = f'ingest.moment("context", {_quoted(column.evidence)})'
        return Planned(column.name, name, "context", line, column.evidence, column.facts["days"], [])
    if column.role == "date":
        return _kept(found, column, name, "context", f"{column.evidence}: not an input")
    if column.role in {"code", "categorical", "entity"}:
        return _kept(
            found,
            column,
            name,
            "context",
            f"{column.distinct:,} levels are too many for an input: {column.evidence}",
        )
    return Planned(column.name, name, "unused", "", column.evidence, None, [])


def _leak(found: Inspection, column: Column, name: str, why: str) -> Planned:
    """Describe a leak as the input that a waiver would make of it."""
    # What only events have is a constant to the eye, and a level or none to a model.
    once = column.role == "constant" and column.reading not in PLAIN
    planned = _category(found, column, name) if once else _input(found, column, name)
    if planned.part != "input":
        return _kept(found, column, name, "leak", why)
    line = planned.line.replace('category("input"', 'category("leak"').replace(
        _quoted(planned.why), _quoted(why)
    )
    if "number(" in line:
        line = line.removesuffix(")") + ', role="leak")'
    return planned._replace(part="leak", why=why, line=line)


def _category(found: Inspection, column: Column, name: str) -> Planned:
    place = found.table.columns.index(column.name)
    cells = found.table.connection.execute(
        f"select distinct trim(c{place}) from cells where trim(c{place}) <> '' order by 1"
    ).fetchall()
    missing = set(column.stand_ins)
    levels = [cell for (cell,) in cells if cell not in missing]
    if column.role == "ordinal":
        scale = column.facts["scale"]
        levels.sort(key=lambda level: scale.index(level.lower()) if level.lower() in scale else len(scale))
    nullable = ", nullable=True" if column.missing else ""
    line = f'ingest.category("input", {_listed(levels)}, {_quoted(column.evidence)}{nullable})'
    reads = dict.fromkeys(sorted(missing), "") or None
    return Planned(column.name, name, "input", line, column.evidence, reads, [])


def _kept(found: Inspection, column: Column, name: str, role: str, why: str) -> Planned:
    if column.reading in PLAIN and column.role != "id":
        line = f'ingest.number("{_unit(column)}", {_quoted(why)}, role="{role}")'
        return Planned(column.name, name, role, line, why, _number(column), list(column.sentinels))
    return Planned(
        column.name, name, role, f'ingest.text("{role}", {_quoted(why)}, nullable=True)', why, None, []
    )


def _text(column: Column, name: str, part: str, line: str) -> Planned:
    return Planned(column.name, name, part, line.format(_quoted(column.evidence)), column.evidence, None, [])


def _number(column: Column) -> str | None:
    if column.reading in WRITTEN:
        return column.reading
    return "number" if column.stand_ins else None


def _unit(column: Column) -> str:
    """Return the unit that a name gives in brackets, such as ``kg`` of ``weight [kg]``; 1 where it gives none."""
    for opening, closing in ("[]", "()"):
        if column.name.rstrip().endswith(closing) and opening in column.name:
            unit = column.name.rpartition(opening)[2].rstrip()[:-1].strip()
            if 0 < len(unit) <= 12 and '"' not in unit:
                return unit
    return "1"


def _listed(values: list[str]) -> str:
    return "[" + ", ".join(map(_quoted, values)) + "]"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
