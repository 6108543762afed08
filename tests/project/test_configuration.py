"""Configuration: the library's defaults, and what a project's conf/ says otherwise."""

import pandas as pd
import pytest

from hardcover.errors import SourceError, UnknownName
from hardcover.ingest import column_mapping, units
from hardcover.project.configuration import ConfigLoader
from hardcover.project.kedro_settings import CONFIG_LOADER_ARGS


@pytest.fixture
def loaded(here, tmp_path):
    """Load a kind of configuration from files."""

    def load(kind: str, **files: str) -> dict:
        for name in ("base", "local"):
            (tmp_path / "conf" / name).mkdir(parents=True, exist_ok=True)
        (tmp_path / "conf" / "base" / "parameters.yml").write_text("maintenance: {}")
        for name, text in files.items():
            (tmp_path / "conf" / "base" / f"{name}.yml").write_text(text)
        return ConfigLoader(str(tmp_path / "conf"), env="local", **CONFIG_LOADER_ARGS)[kind]

    return load


def test_a_project_without_a_catalog_has_the_librarys(loaded, here):
    catalog = loaded("catalog")

    assert catalog["{case}.clean"]["versioned"]
    assert catalog["{case}.clean"]["filepath"] == f"{here.data}/03_primary/{{case}}/clean.parquet"


def test_an_entry_in_conf_replaces_only_the_keys_that_it_names(loaded):
    text = '"{case}.clean": {filepath: /srv/clean.parquet}\nmine: {type: MemoryDataset}'

    catalog = loaded("catalog", catalog=text)

    assert catalog["{case}.clean"]["filepath"] == "/srv/clean.parquet"
    assert catalog["{case}.clean"]["type"] == "pandas.ParquetDataset"
    assert catalog["mine"] == {"type": "MemoryDataset"}


def test_a_case_has_the_parameters_of_its_task_unless_it_names_others(loaded):
    text = "maintenance: {task: regression, training: {num_leaves: 9}}\nother: 1"

    found = loaded("parameters", parameters=text)

    mine = found["maintenance"]
    assert (mine["name"], mine["features_module"]) == ("maintenance", "casebook.maintenance.features")
    assert (mine["training"]["num_leaves"], mine["training"]["min_data_in_leaf"]) == (9, 3)
    assert mine["evaluation"]["folds"] == 5
    assert found["other"] == 1


def test_a_task_that_does_not_exist_is_refused(loaded):
    with pytest.raises(UnknownName, match=r"unknown task 'binari'.*maintenance.task.*Did you mean 'binary'"):
        loaded("parameters", parameters="maintenance: {task: binari}")


def test_tracking_keeps_what_a_project_does_not_change(loaded):
    found = loaded("mlflow", mlflow="tracking: {experiment: {name: mine}}")

    assert found["tracking"]["experiment"]["name"] == "mine"
    assert found["tracking"]["run"]["nested"] is False


def test_units_beyond_ours_come_from_conf():
    rows, mapping = pd.DataFrame({"p": ["2", "3"]}), {"pressure": {"column": "p", "unit": "bar"}}
    known = units.known({"bar": {"to": "Pa", "factor": 1e5}})

    found, _ = column_mapping.convert(rows, mapping, {"pressure": "Pa"}, "a.csv", known)

    assert found["pressure"].tolist() == [200_000.0, 300_000.0]
    with pytest.raises(
        SourceError, match=r"unit 'bar' of 'pressure' cannot become 'Pa'.*'units' in conf/base"
    ):
        column_mapping.convert(rows, mapping, {"pressure": "Pa"}, "a.csv")
