"""The type of a column, one of nine, from its name, its statistics and a few of its values.

The nine classes and the statistics are those of V. Shah et al., "Towards Benchmarking Feature Type Inference for AutoML
Platforms", SIGMOD 2021. Rules decide what can be read off; a small forest decides the rest, such as whether whole numbers
count something or name something. ``benchmarks/column_types.py`` trains it and measures both on files not trained on.
"""

import gzip
import itertools
import math
import re
import statistics
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from hardcover.inspection.cells import MISSING_AMONG_NUMBERS

TYPES = (
    "categorical",
    "context-specific",
    "datetime",
    "embedded-number",
    "list",
    "not-generalizable",
    "numeric",
    "sentence",
    "url",
)
# Above this share of missing values, what is left cannot be learned from.
MAX_MISSING = 0.995
# As the labelled samples were read when the forest was trained.
NULLS = frozenset(MISSING_AMONG_NUMBERS) - {"unknown"}
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
# Written with decimals, thousands, a currency, a percent sign or a unit around it.
EMBEDDED = re.compile(
    r"[^\w\s]*\s*[+-]?\s*[$€£¥#]?\s*[+-]?\(?\d{1,3}(?:[ ,.]\d{2,3})*(?:[.,]\d+)?\)?\s*([%°$€£]|[a-zA-Z/²³]{1,8}\.?)?"
)
MODEL, WORDS = Path(__file__).with_name("column_types.txt.gz"), Path(__file__).with_name("words.txt.gz")

_KEYWORDS = [
    "id", "code", "zip", "key", "index", "num", "no", "date", "time", "year", "month", "day", "name",
    "type", "class", "category", "status", "flag", "is", "has", "lat", "lon", "url", "link", "img",
    "desc", "comment", "text", "note", "title", "address", "phone", "price", "cost", "amount", "total",
    "count", "sum", "mean", "avg", "std", "min", "max", "rate", "pct", "percent", "ratio", "score",
    "value", "level", "group", "region", "state", "country", "city", "gender", "sex", "age", "size",
    "weight", "height", "width", "length", "temp", "rank", "x", "y", "q", "s",
]  # fmt: skip
_SHARES = {
    "integers": r"^[+-]?\d+$",
    "dates with separators": r"^\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}",
    "clock times": r"\d{1,2}:\d{2}",
    "month names": r"(?i)\b(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\b",
    "dates in eight digits": r"^(19|20)\d{6}$",
    "years": r"^(19|20)\d\d$",
    "weekdays": r"(?i)\b(mon|tue|wed|thu|fri|sat|sun)[a-z]*\b",
    "days of a month": r"(?i)^\d{1,2}-[a-z]{3}(-\d+)?$",
    "digit first": r"^[+-]?[$€£]?\d",
    "thousands": r"^\D{0,3}\d{1,3}(,\d{2,3})+(\.\d+)?\D{0,3}$",
    "percents": r"%$",
    "money": r"^[^\w]*[$€£]",
    "units": r"^[+-]?\d[\d,.]*\s?[a-zA-Z²³/]{1,7}\.?$",
    "urls": r"(?i)^(https?:|www\.|//)|\.(com|org|net)/",
    "leading zeros": r"^0\d+$",
    "brackets": r"(?s)^[\[{(].*[\]})]$",
    "letters and digits": r"(?=.*\d)(?=.*[a-zA-Z])",
}
_SHARE_OF = {name: re.compile(pattern) for name, pattern in _SHARES.items()}
_STOP = re.compile(r"\b(the|of|and|to|in|is|a|for|was|that|with|on|i)\b", re.I)
_SENTINELS = frozenset(("-99", "-999", "-9", "-1", "-9999", "999", "9999"))


class Summary(NamedTuple):
    """What is known of a column.

    Attributes
    ----------
    name
        As the file has it.
    rows, missing, distinct
        Counts; ``distinct`` is of the values that are there.
    mean, deviation, low, high
        Of the values that are numbers; zero without any.
    sample
        Up to five of its values as text.
    """

    name: str
    rows: float
    missing: float
    distinct: float
    mean: float
    deviation: float
    low: float
    high: float
    sample: Sequence[str]


def classify(columns: Sequence[Summary]) -> list[str]:
    """Return the type of each column, one of `TYPES`: what a rule finds, else what is likeliest by the forest."""
    if not columns:
        return []
    measured = [features(column) for column in columns]
    chances = _forest()([list(row.values()) for row in measured])
    return [
        rule(column, row) or TYPES[max(range(len(TYPES)), key=chance.__getitem__)]
        for column, row, chance in zip(columns, measured, chances, strict=True)
    ]


def rule(column: Summary, measured: dict[str, float]) -> str | None:
    """Return the type that a rule finds, or None."""
    if measured["distinct values"] <= 1 or measured["missing"] > MAX_MISSING:
        return "not-generalizable"
    return "list" if measured["bracketed lists"] else None


def features(column: Summary) -> dict[str, float]:
    """Return what the forest sees of a column, by name."""
    sample = [value.strip() for value in column.sample]
    values = [value for value in sample if value.lower() not in NULLS]
    count, rows = max(len(values), 1), max(column.rows, 1)
    numbers = [float(value) for value in values if NUMBER.fullmatch(value)]
    numbers = [number for number in numbers if math.isfinite(number)]
    steps = [later - earlier for earlier, later in itertools.pairwise(numbers)]
    width = column.high - column.low
    words, letters = [len(value.split()) for value in values], [len(value) for value in values]
    # A text that stands for a missing value was counted as a value.
    stand_in = any(value and value.lower() in NULLS for value in sample)
    stand_in |= column.missing == 0 and "" in sample
    found = {
        "rows": math.log1p(column.rows),
        "missing": column.missing / rows,
        "distinct": math.log1p(column.distinct),
        "distinct share": column.distinct / rows,
        "distinct share of present": column.distinct / max(column.rows - column.missing, 1),
        "distinct values": column.distinct - stand_in,
        "few distinct": min(column.distinct, 30),
        "present": column.rows - column.missing,
        "mean": _log(column.mean),
        "deviation": _log(column.deviation),
        "low": _log(column.low),
        "high": _log(column.high),
        "density": column.distinct / max(width + 1, 1) if width > 0 else 0,
        "variation": column.deviation / abs(column.mean) if column.mean else 0,
        "width in deviations": width / column.deviation if column.deviation else 0,
        "numbers": len(numbers) / count,
        "missing in sample": 1 - len(values) / 5,
        "different in sample": len(set(values)) / count,
        "largest": max(numbers, default=-1),
        "smallest": min(numbers, default=-1),
        "rising": float(len(steps) == 4 and min(steps) > 0),
        "by one": float(len(steps) == 4 and set(steps) == {1}),
        "decimals": _mean(lambda value: len(value.split(".")[1]) if "." in value else 0, values),
        "one length": float(len(set(letters)) == 1),
        "embedded": _mean(
            lambda value: bool(EMBEDDED.fullmatch(value)) and not NUMBER.fullmatch(value), values
        ),
        "digits": _mean(lambda value: sum(map(str.isdigit, value)) / len(value), values),
        "letters": _mean(lambda value: sum(map(str.isalpha, value)) / len(value), values),
        "delimiters": _mean(lambda value: len(re.findall(r"[,;|]", value)), values),
        "bars": _mean(lambda value: len(re.findall(r"[;|]", value)), values),
        "words between commas": _mean(_words_between_commas, values),
        "words": statistics.fmean(words) if words else 0,
        "most words": max(words, default=0),
        "length": statistics.fmean(letters) if letters else 0,
        "longest": max(letters, default=0),
        "spread of length": statistics.pstdev(letters) if letters else 0,
        "upper": _mean(str.isupper, values),
        "capital first": _mean(lambda value: value[:1].isupper(), values),
        "stop words": _mean(lambda value: len(_STOP.findall(value)), values),
        "bracketed lists": float(bool(values) and all(value[0] + value[-1] == "[]" for value in values)),
        "sentinels": float(any(value in _SENTINELS for value in sample)),
    }
    for name, pattern in _SHARE_OF.items():
        found[name] = sum(bool(pattern.search(value)) for value in values) / count
    return found | _of_name(column.name)


def _of_name(name: str) -> dict[str, float]:
    words = words_of(name)
    letters = max(sum(map(str.isalpha, name)), 1)
    return {
        "name length": len(name),
        "name words": len(words),
        "name is a number": float(name.strip().isdigit()),
        "name ends in a digit": float(name[-1:].isdigit()),
        "name ends in id": float(name.endswith(("id", "Id", "ID"))),
        "name is readable": readable(name),
        "name vowels": sum(letter in "aeiouAEIOU" for letter in name) / letters,
        **{f"named {word}": float(word in words) for word in _KEYWORDS},
    }


def words_of(name: str) -> list[str]:
    """Return the words of a name in lower case.

    Examples
    --------
    >>> words_of("firstName_2 (kg)")
    ['first', 'name', '2', 'kg']
    """
    apart = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name).lower()
    return [word for word in re.split(r"[^a-z0-9]+|(?<=[a-z])(?=\d)|(?<=\d)(?=[a-z])", apart) if word]


def readable(name: str) -> float:
    """Return the share of a name's letters that common English words cover; -1 without letters.

    Examples
    --------
    >>> readable("house number") > readable("hhmd3")
    True
    """
    words = [word for word in words_of(name) if word.isalpha()]
    if not words:
        return -1.0
    return sum(map(_covered, words)) / sum(map(len, words))


@cache
def _covered(word: str) -> float:
    known = _known_words()
    if word in known:
        return len(word)
    most = [0] * (len(word) + 1)
    for end in range(1, len(word) + 1):
        starts = range(max(0, end - 14), end - 2)
        most[end] = max([most[end - 1], *(most[s] + end - s for s in starts if word[s:end] in known)])
    # A name that has to be cut reads a little worse than a word.
    return 0.9 * most[-1]


@cache
def _known_words() -> frozenset[str]:
    with gzip.open(WORDS, "rt", encoding="ascii") as file:
        return frozenset(file.read().split())


@cache
def _forest() -> Callable:
    import lightgbm

    with gzip.open(MODEL, "rt", encoding="ascii") as file:
        booster = lightgbm.Booster(model_str=file.read())
    return lambda rows: booster.predict(rows, num_threads=1)


def _mean(measure: Callable[[str], float], values: list[str]) -> float:
    return statistics.fmean(map(measure, values)) if values else 0.0


def _words_between_commas(value: str) -> float:
    return statistics.fmean(len(part.split()) for part in value.split(",")) if "," in value else 0.0


def _log(value: float) -> float:
    return math.copysign(math.log1p(abs(value)), value) if math.isfinite(value) else 0.0
