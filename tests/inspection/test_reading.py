"""A file of any dialect becomes the table that it holds; what cannot is refused or left out by line and reason."""

import csv
import gzip
import io
import json

import openpyxl
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hardcover.errors import SourceError
from hardcover.inspection import reading
from hardcover.inspection.reading import read

HEADER = ["day", "amount", "product", "note"]
words = st.lists(
    st.sampled_from(["wool", "paint", "rope", "14", "½", "grün", "x-ray"]), min_size=1, max_size=4
).map(" ".join)
notes = st.one_of(
    words, words.map(lambda text: f"{text}, {text}"), words.map(lambda text: f'{text} 48" wide; {text}')
)
rows = st.lists(
    st.tuples(
        st.dates(min_value=pd.Timestamp("1990-01-01").date()).map(str),
        st.decimals(0, 10_000, places=2).map(str),
        words,
        notes,
    ).map(list),
    min_size=8,
    max_size=30,
)
dialects = st.fixed_dictionaries(
    {
        "delimiter": st.sampled_from([",", ";", "\t", "|"]),
        "quoting": st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
        "lineterminator": st.sampled_from(["\n", "\r\n", "\r"]),
    }
)


def written(table, encoding="utf-8", **dialect):
    text = io.StringIO(newline="")
    csv.writer(text, **dialect).writerows(table)
    return text.getvalue().encode(encoding)


def rows_of(table):
    cells = ", ".join(f"c{place}" for place in range(len(table.columns)))
    return [
        list(row) for row in table.connection.execute(f"select {cells} from cells order by line").fetchall()
    ]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=rows, dialect=dialects, encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
def test_a_table_comes_back_whatever_its_dialect_and_encoding(tmp_path, rows, dialect, encoding):
    file = tmp_path / "table.csv"
    file.write_bytes(written([HEADER, *rows], encoding, **dialect))
    table = read([file])
    assert table.columns == HEADER
    assert rows_of(table) == rows
    assert not table.left_out


def test_a_large_file_is_read_alike_by_both_readers(tmp_path, monkeypatch):
    file = tmp_path / "large.csv"
    body = [[f"2024-01-{1 + n % 28:02d}", f"{n}.25", "wool", f'{n}, "x"\nand more'] for n in range(3_000)]
    file.write_bytes(written([HEADER, *body]))
    line_by_line = read([file])
    monkeypatch.setattr(reading, "LARGE", 0)
    monkeypatch.setattr(reading.Records, "read", None)
    by_duckdb = read([file])
    assert rows_of(by_duckdb) == rows_of(line_by_line) == body
    assert by_duckdb.columns == line_by_line.columns


def test_a_file_too_large_is_sampled_and_says_so(tmp_path, monkeypatch):
    file = tmp_path / "huge.csv"
    file.write_bytes(
        written([HEADER, *([f"2024-01-{1 + n % 28:02d}", "1.5", "a", "b"] for n in range(5_000))])
    )
    for name, value in (("LARGE", 0), ("HUGE", 0), ("SAMPLE_ROWS", 100)):
        monkeypatch.setattr(reading, name, value)
    table = read([file])
    assert table.rows == 100
    assert "100 rows drawn at random" in table.warnings[0]


@pytest.mark.parametrize(
    ("text", "columns", "count", "warned"),
    [
        ("1,2.5,x\n2,3.5,y\n3,4.5,z\n", ["column_1", "column_2", "column_3"], 3, "no header"),
        (
            "report of May,,\n,,\na,b,c\n1,2,x\n2,3,y\n3,4,z\n",
            ["a", "b", "c"],
            3,
            "2 lines before the header",
        ),
        ("a,b,c\n1,2,x\n2,3\n3,4,y\n4,5,z\n", ["a", "b", "c"], 3, "1 line left out"),
        ("a,a,\n1,2,x\n2,3,y\n3,4,z\n", ["a", "a_2", "column_3"], 3, "two columns 'a'"),
        ("a,b\n1,2\n2,3\na,b\n3,4\n", ["a", "b"], 3, "the header again in 1 line"),
        ("name,b\nCafÃ©,2\nMÃ¼ller,3\nx,4\n", ["name", "b"], 3, "damaged before"),
        (
            'd,n,t\n2024-01-01,1,"a,b"\n2024-01-02,2,"c\n2024-01-03,3,"e,f"\n',
            ["d", "n", "t"],
            3,
            "stray quote",
        ),
        ("unit kg,unit m\nmass,length\n1,2\n3,4\n5,6\n", ["unit kg mass", "unit m length"], 3, None),
        ("land,2019,2020,2021\nA,1,2,3\nB,4,5,6\nC,7,8,9\n", ["land", "2019", "2020", "2021"], 3, None),
        ("n;t\n1,5;x\n2,5;y\n3,5;z\n", ["n", "t"], 3, None),
    ],
)
def test_what_surrounds_the_rows_is_told_apart_from_them(tmp_path, text, columns, count, warned):
    file = tmp_path / "table.csv"
    file.write_text(text)
    table = read([file])
    assert (table.columns, table.rows) == (columns, count)
    assert (warned is None) == (not table.warnings), table.warnings
    assert warned is None or warned in " ".join(table.warnings)


def test_a_line_that_does_not_fit_is_kept_with_its_number_and_reason(tmp_path):
    file = tmp_path / "table.csv"
    file.write_text("a,b,c\n1,2,x\n2,3\n3,4,y\n4,5,z\n")
    (line,) = read([file]).quarantine
    assert line == ("table.csv", 3, "2 cells, not 3", "2,3")


def test_other_formats_hold_the_same_table(tmp_path):
    frame = pd.DataFrame({"code": ["007", "012", "100"], "n": [1, 2, 2**60], "t": ["x", None, "z"]})
    frame.to_parquet(tmp_path / "t.parquet")
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(frame.to_csv(index=False).encode()))
    (tmp_path / "t.jsonl").write_text(
        "\n".join(json.dumps(row) for row in json.loads(frame.to_json(orient="records")))
    )
    expected = [["007", "1", "x"], ["012", "2", None], ["100", str(2**60), "z"]]
    for name in ("t.parquet", "t.csv.gz", "t.jsonl"):
        table = read([tmp_path / name])
        assert table.columns == ["code", "n", "t"], name
        assert [[cell or None for cell in row] for row in rows_of(table)] == expected, name


def test_a_workbook_is_read_and_says_which_of_its_sheets(tmp_path):
    book = openpyxl.Workbook()
    for row in (["code", "n"], ["007", 1.0], ["012", 2.5]):
        book.active.append(row)
    book.create_sheet("notes").append(["see above"])
    book.save(tmp_path / "t.xlsx")
    table = read([tmp_path / "t.xlsx"])
    assert (table.columns, rows_of(table)) == (["code", "n"], [["007", "1"], ["012", "2.5"]])
    assert "'Sheet' was read" in table.warnings[0]


def test_several_files_of_one_table_are_matched_by_name(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n1,2\n3,4\n")
    (tmp_path / "b.csv").write_text("y;x;z\n5;6;7\n8;9;10\n")
    table = read([tmp_path / "a.csv", tmp_path / "b.csv"])
    assert table.columns == ["x", "y", "z"]
    assert rows_of(table) == [["1", "2", None], ["3", "4", None], ["6", "5", "7"], ["9", "8", "10"]]
    assert table.warnings == ["b.csv adds z"]


BAD = {
    "empty": (b"", "the file is empty"),
    "blank lines only": (b"\n\n  \n", "the file is empty"),
    "a program": (b"\x7fELF\x02\x01\x01" + bytes(60), "a program file"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(60), "a PNG file"),
    "noise": (bytes(range(256)) * 20, "not a table of text"),
    "a broken gzip": (gzip.compress(b"a,b\n1,2\n" * 100)[:20], "cannot be read"),
    "a broken Parquet": (b"PAR1" + b"x" * 50, "cannot be read"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_table_is_refused_by_what_it_is(tmp_path, name):
    content, said = BAD[name]
    file = tmp_path / "file.csv"
    file.write_bytes(content)
    with pytest.raises(SourceError, match=said) as error:
        read([file])
    assert str(file) in str(error.value)


def test_a_path_that_is_no_file_says_what_is_there(tmp_path):
    (tmp_path / "sales.csv").write_text("a,b\n1,2\n")
    with pytest.raises(SourceError, match=r"no such file.*sales\.csv"):
        read([tmp_path / "sale.csv"])
    with pytest.raises(SourceError, match="a folder"):
        read([tmp_path])
    with pytest.raises(SourceError, match="no such file"):
        read([r"C:\data\sales.csv"])
    (tmp_path / "other.csv").write_text("c,d\n1,2\n")
    with pytest.raises(SourceError, match="no column in common"):
        read([tmp_path / "sales.csv", tmp_path / "other.csv"])


@pytest.mark.parametrize(("rows", "columns"), [(1, 3), (3, 1), (20, 10_000)])
def test_small_and_wide_tables_are_tables(tmp_path, rows, columns):
    file = tmp_path / "table.csv"
    names = [f"name{number}" for number in range(columns)]
    file.write_bytes(
        written([names, *([str(row + column) for column in range(columns)] for row in range(rows))])
    )
    table = read([file])
    assert (table.rows, table.columns) == (rows, names)
