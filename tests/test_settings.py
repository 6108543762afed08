"""Settings: one file, overridable, and nothing unknown."""

import pytest

from hardcover import settings
from hardcover.errors import HardcoverError, UnknownName


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "pyproject.toml").write_text("[tool.kedro]\n")
    for name in [name for name in __import__("os").environ if name.startswith("HARDCOVER_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HARDCOVER_PROJECT", str(tmp_path))
    monkeypatch.setattr(settings, "_environment", None)
    settings.project_root.cache_clear()
    yield tmp_path
    settings.project_root.cache_clear()


def test_defaults_are_paths_in_the_project(project):
    assert settings.read("data.root") == str(project / "data")
    assert settings.read("tracking.uri") == f"sqlite:///{project}/mlflow.db"
    assert settings.read("run.wait") == "600"


def test_the_environment_wins_over_the_file_and_the_file_over_defaults(project, monkeypatch):
    (project / "settings.ini").write_text("[data]\nroot = elsewhere\n[run]\nwait = 5\n")
    monkeypatch.setenv("HARDCOVER_DATA_ROOT", "/srv/data")

    assert settings.read("data.root") == "/srv/data"
    assert settings.read("run.wait") == "5"


def test_an_environment_has_a_root_of_its_own(project, monkeypatch):
    (project / "conf" / "ci").mkdir(parents=True)
    (project / "conf" / "local").mkdir()
    home = project / "environments" / "ci"

    settings.enter("ci")

    assert settings.read("data.root") == str(home / "data")
    assert settings.read("release.dist") == str(home / "dist")
    assert settings.read("tracking.uri") == f"sqlite:///{home}/mlflow.db"
    assert settings.read("tracking.artifacts") == str(home / "mlartifacts")
    settings.enter(None)
    assert settings.read("data.root") == str(project / "data")


def test_an_absolute_path_or_a_variable_is_for_every_environment(project, monkeypatch):
    (project / "conf" / "ci").mkdir(parents=True)
    (project / "settings.ini").write_text("[data]\nroot = /srv/data\n")
    monkeypatch.setenv("HARDCOVER_RELEASE_DIST", "wheels")
    settings.enter("ci")

    assert settings.read("data.root") == "/srv/data"
    assert settings.read("release.dist") == str(project / "wheels")


def test_an_environment_without_a_folder_in_conf_is_refused(project, monkeypatch):
    (project / "conf" / "production").mkdir(parents=True)

    with pytest.raises(UnknownName, match=r"unknown environment 'prodution'.*Did you mean 'production'"):
        settings.enter("prodution")


def test_servers_and_buckets_are_left_as_they_are(project, monkeypatch):
    monkeypatch.setenv("HARDCOVER_TRACKING_URI", "http://tracking:5000")
    monkeypatch.setenv("HARDCOVER_TRACKING_ARTIFACTS", "s3://bucket/runs")

    assert settings.read("tracking.uri") == "http://tracking:5000"
    assert settings.read("tracking.artifacts") == "s3://bucket/runs"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("[data]\nrot = x\n", r"unknown setting 'data\.rot'.*Did you mean 'data\.root'"),
        ("[dta]\nroot = x\n", r"unknown setting 'dta\.root'"),
    ],
)
def test_an_unknown_key_in_the_file_is_refused(project, content, complaint):
    (project / "settings.ini").write_text(content)

    with pytest.raises(UnknownName, match=complaint):
        settings.read("data.root")


def test_a_broken_file_is_named(project):
    (project / "settings.ini").write_text("root = x\n")

    with pytest.raises(HardcoverError, match=r"(?s)cannot read settings.*settings\.ini"):
        settings.read("data.root")


def test_an_unknown_variable_is_refused(project, monkeypatch):
    monkeypatch.setenv("HARDCOVER_RUN_WIAT", "3")

    with pytest.raises(UnknownName, match="Did you mean 'HARDCOVER_RUN_WAIT'"):
        settings.read("run.wait")


def test_outside_a_project_the_error_says_where_it_looked(project, monkeypatch):
    monkeypatch.setenv("HARDCOVER_PROJECT", str(project / "nothing"))
    settings.project_root.cache_clear()

    with pytest.raises(HardcoverError, match="no Hardcover project found"):
        settings.project_root()
