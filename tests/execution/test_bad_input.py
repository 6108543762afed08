"""What bad input gets: one clear error, exit code 1, no traceback, and nothing saved."""

import json
import os
import subprocess

import pandas as pd
import pytest

from hardcover.cli import main
from hardcover.execution import summary
from tests.conftest import ROOT, Place


def table_of(path) -> pd.DataFrame:
    return pd.read_csv(path, dtype="str")


def change(**columns):
    """Make a table with some columns replaced."""
    return lambda table: table.assign(**{name.replace("_", " "): value for name, value in columns.items()})


def one_class(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(**{"Machine failure": "0"})


BAD_FILES = {
    "another table altogether": (
        lambda table: b"id,colour,price\n1,red,2.5\n",
        ["no mapping fits: the nearest, ", "the file has 'id', 'colour', 'price'", "conf/local/"],
    ),
    "an empty file": (lambda table: b"", ["the raw file is empty", "bad.csv", "Deliver it again"]),
    "only blanks": (lambda table: b" \n\n", ["the raw file is empty"]),
    "a header only": (lambda table: table.head(0), ["the raw file has a header and no rows", "bad.csv"]),
    "a missing column": (
        lambda table: table.rename(columns={"Torque [Nm]": "Torqe [Nm]"}),
        [
            "column 'Torque [Nm]' is missing; found 'Torqe [Nm]'",
            "mapping 'ai4i'",
            "map it under 'column_mapping' in conf/local/",
        ],
    ),
    "a column of the wrong type": (
        lambda table: table.assign(**{"Torque [Nm]": "strong"}),
        ["column 'Torque [Nm]' is not numeric: 4000 of 4000 values, such as 'strong'"],
    ),
    "a picture": (
        lambda table: b"\x89PNG\r\n\x1a\n" + bytes(99),
        ["the raw file is a picture, not CSV or Parquet"],
    ),
    "an Excel file": (
        lambda table: b"PK\x03\x04" + bytes(99),
        ["is a zip or Excel file, not CSV", "Export it as CSV"],
    ),
    "JSON": (lambda table: b'{"a": 1,\n"b": 2}', ["is not CSV or Parquet: its first line is '{\"a\": 1,'"]),
    "prose": (lambda table: b"Dear colleagues\nplease find", ["is not CSV or Parquet"]),
    "half a Parquet file": (lambda table: b"PAR1" + bytes(200), ["cannot read Parquet"]),
    "Latin-1": (
        lambda table: table.rename(columns={"Type": "Güte"}).to_csv(index=False).encode("latin-1"),
        ["the raw file is not UTF-8: b'\\xfcte,'", "line 1", "Save the file as UTF-8"],
    ),
    "mojibake": (
        lambda table: table.rename(columns={"Type": "GÃ¼te"}).to_csv(index=False).encode(),
        ["the raw file has mojibake", "GÃ¼te", "line 1"],
    ),
    "a column twice": (
        lambda table: table.to_csv(index=False).replace("TWF", "Type", 1).encode(),
        ["columns come twice: Type"],
    ),
    "ragged rows": (
        lambda table: table.to_csv(index=False).replace("\n", "\n1,", 2).encode(),
        ["the header has", "Quote values with separators"],
    ),
    "every row impossible": (
        lambda table: table.assign(**{"Tool wear [min]": "-5", "Torque [Nm]": "-1"}),
        ["all 4000 rows are quarantined", "tool_wear", "torque"],
    ),
    "one class": (one_class, ["the target 'failure' is 0 in all 4000 rows", "Bring rows of both classes"]),
    "too few failures": (
        lambda table: one_class(table).assign(**{"Machine failure": ["1"] + ["0"] * (len(table) - 1)}),
        ["is 0 in all", "the part 'validation' of 4000 clean rows"],
    ),
    "degrees Celsius under a Kelvin header": (
        lambda table: celsius(table),
        ["sources disagree on the unit of 'air_temperature'", "read in 'degC' it would fit"],
    ),
}


def celsius(table: pd.DataFrame) -> pd.DataFrame:
    names = ["Air temperature [K]", "Process temperature [K]"]
    return table.assign(
        **{name: (table[name].astype(float) - 273.15).round(2).astype("str") for name in names}
    )


def run_here(place: Place, capsys, *arguments: str) -> str:
    """Run the command in this process; gives what it said on standard error."""
    code = main.main(["run", "maintenance", "--pipeline", "--env", "ci", *arguments])

    said = capsys.readouterr().err
    assert code == 1, said
    assert "Traceback" not in said
    assert said.strip().splitlines()[-1] != ""
    assert place.versions() == []
    return said


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_bad_file_is_refused_with_what_where_and_what_to_do(kind, ai4i_csv, here, capsys, tmp_path):
    spoil, expected = BAD_FILES[kind]
    spoiled = spoil(table_of(ai4i_csv))
    path = tmp_path / "bad.csv"
    path.write_bytes(spoiled if isinstance(spoiled, bytes) else spoiled.to_csv(index=False).encode())

    said = run_here(here, capsys, "--data", str(path))

    for part in expected:
        assert part in said


def test_two_sources_that_disagree_on_a_unit_are_refused(ai4i_csv, here, capsys, tmp_path):
    table = table_of(ai4i_csv)
    foot_pounds = table["Torque [Nm]"].astype(float) / 1.3558179483314004
    table.iloc[:2000].to_csv(tmp_path / "first.csv", index=False)
    table.assign(**{"Torque [Nm]": foot_pounds}).iloc[2000:].to_csv(tmp_path / "second.csv", index=False)

    said = run_here(here, capsys, "--data", str(tmp_path / "first.csv"), str(tmp_path / "second.csv"))

    assert "sources disagree on the unit of 'torque': declared in 'Nm', source 'second.csv'" in said
    assert "read in 'lbf.ft' it would fit" in said
    assert "conf/base/" in said


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["run", "maintenence"], "unknown case 'maintenence'. Did you mean 'maintenance'?"),
        (["run", "--stage", "trian"], "unknown stage 'trian' (case 'maintenance'). Did you mean 'train'?"),
        (["run", "--env", "productoin"], "unknown environment 'productoin'"),
        (
            ["run", "--pipeline", "--param", "maintenance.simulator.row=5"],
            "unknown parameter 'maintenance.simulator.row'. Did you mean 'maintenance.simulator.rows'?",
        ),
        (
            ["run", "--pipeline", "--param", "maintenance.simulator.rows=abc"],
            "parameter 'maintenance.simulator.rows' is 'abc', of type str. Expected is a value of type int, such as 20000.",
        ),
        (
            ["run", "--pipeline", "--param", "maintenance.simulator=3"],
            "parameter 'maintenance.simulator' is 3, of type int",
        ),
        (
            ["run", "--param", "maintenence.simulator.rows=5"],
            "unknown parameter 'maintenence.simulator.rows'",
        ),
        (["run", "--pipeline", "--data", "no/such/file.csv"], "does not exist"),
        (["run", "--pipeline", "--data", "/tmp"], "is a folder"),
    ],
)
def test_an_unknown_name_is_refused_with_the_closest_one(arguments, expected, here, capsys):
    assert main.main(arguments) == 1

    said = capsys.readouterr().err
    assert expected in said
    assert "Traceback" not in said
    assert here.versions() == []


def test_wrong_usage_exits_with_2(capsys):
    with pytest.raises(SystemExit) as caught:
        main.main(["run", "--param", "rows"])

    assert caught.value.code == 2
    assert "'rows' is not NAME=VALUE" in capsys.readouterr().err


def test_an_unknown_setting_is_refused_with_the_closest_one(here, capsys, monkeypatch):
    monkeypatch.setenv("HARDCOVER_DATA_ROOTS", "/tmp")

    assert main.main(["run"]) == 1

    assert (
        "unknown setting 'HARDCOVER_DATA_ROOTS' (environment). Did you mean 'HARDCOVER_DATA_ROOT'?"
        in capsys.readouterr().err
    )


def test_kedro_run_says_the_same_without_a_traceback(place):
    for arguments, expected in (
        (["--env", "productoin"], "error: unknown environment 'productoin'"),
        (["--params", "maintenance.simulator.row=5"], "error: unknown parameter 'maintenance.simulator.row'"),
        (
            ["--params", "maintenance.files=[/no/such.csv]"],
            "error: the raw file '/no/such.csv' does not exist",
        ),
        (["--pipeline", "maintenance.dta"], "error: Failed to find the pipeline named 'maintenance.dta'"),
        (["--runner", "ParallelRunner"], "error: a run on a SharedMemoryDataCatalog cannot commit versions"),
    ):
        done = place.call("kedro", "run", "--pipeline", "maintenance.data", *arguments, check=False)

        assert done.returncode == 1
        assert expected in done.stderr, done.stderr
        assert "Traceback" not in done.stderr + done.stdout
        assert place.versions() == []


def test_production_needs_its_environment(place):
    environment = {
        name: value
        for name, value in {**os.environ, **place.environment}.items()
        if "TRACKING_URI" not in name
    }

    done = subprocess.run(
        [ROOT / ".venv" / "bin" / "hardcover", "run", "--pipeline", "--env", "production"],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "HARDCOVER_TRACKING_URI" in done.stderr
    assert place.versions() == []


def test_a_notebook_shows_the_error_and_the_copy(place, tmp_path):
    (tmp_path / "empty.csv").touch()

    done = place.call("hardcover", "run", "maintenance", "--data", tmp_path / "empty.csv", check=False)

    assert done.returncode == 1
    assert (
        f"error: the raw file is empty ({tmp_path}/empty.csv). Deliver it again (stage 'data', cell "
        in done.stderr
    )
    # The cell that ran the stage would add nothing.
    assert "here.run" not in done.stderr
    (copy,) = place.data.glob("08_reporting/maintenance/*/01_data.ipynb")
    assert str(copy) in done.stderr
    assert copy.with_suffix(".html").exists()
    assert "Traceback" not in done.stderr
    assert place.versions() == []


def test_debug_shows_the_traceback(here, capsys):
    assert main.main(["run", "--pipeline", "--debug", "--data", "no/such/file.csv"]) == 1

    said = capsys.readouterr().err
    assert "Traceback (most recent call last)" in said
    assert said.rstrip().endswith("Check --data.")


def test_a_failure_is_json_where_json_was_asked_for(here, capsys):
    assert main.main(["run", "maintenence", "--json"]) == 1

    assert json.loads(capsys.readouterr().out)["kind"] == "UnknownName"


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_no_space_left_keeps_nothing(place):
    place.data.mkdir(parents=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", place.data], check=False)
    if mounted.returncode:
        pytest.skip("this machine allows no mount")
    try:
        done = place.call("hardcover", "run", "--pipeline", "--env", "ci", "--stage", "data", check=False)

        assert done.returncode == 1
        assert "error: cannot save: no space left on device (dataset 'maintenance." in done.stderr
        assert "HARDCOVER_DATA_ROOT" in done.stderr
        assert place.versions() == []
    finally:
        subprocess.run(["umount", place.data], check=True)


def test_impossible_rows_go_to_quarantine_with_all_their_reasons(ai4i_csv, here, tmp_path):
    table = table_of(ai4i_csv)
    table.loc[0, ["Torque [Nm]", "Type"]] = ["-3", "X"]
    table.loc[1, "Air temperature [K]"] = None
    table.loc[2, "Process temperature [K]"] = "290"
    table.loc[3, "Rotational speed [rpm]"] = "fast"
    table.loc[5] = table.loc[4]
    table.loc[6, "Torque [Nm]"] = "inf"
    table.to_csv(tmp_path / "rows.csv", index=False)

    arguments = [
        "run",
        "maintenance",
        "--pipeline",
        "--env",
        "ci",
        "--stage",
        "data",
        "--data",
        str(tmp_path / "rows.csv"),
    ]
    assert main.main(arguments) == 0

    report = here.read("08_reporting", "data_report.json")
    refused = pd.read_parquet(here.newest("02_intermediate", "quarantine.parquet")).set_index("source_row")[
        "rejections"
    ]
    assert (report["rows"], report["clean"], report["quarantined"]) == (4000, 3994, 6)
    assert sorted(refused.index) == [1, 2, 3, 4, 6, 7]
    assert "quality 'X' fails isin" in refused[1]
    assert "torque -3.0 fails in_range" in refused[1]
    assert refused[2] == "air_temperature is missing"
    assert refused[3] == "process_temperature > air_temperature does not hold"
    assert "rotational_speed 'fast' is not a number" in refused[4]
    assert "comes twice" in refused[6]
    assert "torque inf fails in_range" in refused[7]


def test_a_run_from_another_folder_logs_as_plainly(place, tmp_path):
    command = ("hardcover", "run", "--pipeline", "--env", "ci", "--stage", "data", "--data", "no.csv")

    done = place.call(*command, check=False, cwd=tmp_path)

    assert (
        done.stderr.splitlines()[-1]
        == f"error: the raw file '{tmp_path}/no.csv' does not exist. Check --data."
    )
    assert "INFO" not in done.stderr


@pytest.mark.parametrize(("refused", "warned"), [(0, False), (5, False), (6, True), (87, True)])
def test_a_run_that_refuses_many_rows_warns_and_names_the_reason(refused, warned):
    rejections = {"kind fails isin(['a'])": refused} if refused else {}
    report = {
        "rows": 100,
        "clean": 100 - refused,
        "quarantined": refused,
        "split_by": "time",
        "rejections": rejections,
    }
    text = "\n".join(summary.lines({"case": "c", "run": "r", "nodes": {}, "data_report": report}))
    assert (f"{refused} % of the rows are refused".replace(" %", "%") in text) == warned
    assert ("kind fails isin" in text) == warned
