"""Code that learns from rows before it sets them apart is named; code that learns afterwards is not."""

import json

import pytest

from hardcover.errors import SourceError
from hardcover.inspection import code_leaks
from hardcover.template import notebooks

LOAD = "import pandas as pd\ndf = pd.read_csv('t.csv')\nX, y = df.drop(columns='y'), df['y']"
SPLIT = "X_train, X_test, y_train, y_test = train_test_split(X, y)"
LEAKING = {
    "a scaler": (["X = StandardScaler().fit_transform(X)", SPLIT], "StandardScaler().fit_transform(X)"),
    "a scaler, then its transform": (["s = StandardScaler()\ns.fit(X)\nX = s.transform(X)", SPLIT], "s.fit(X)"),
    "one column": (["X['a'] = enc.fit_transform(X[['a']])", SPLIT], "enc.fit_transform(X[['a']])"),
    "more rows of the rare class": (["X, y = SMOTE().fit_resample(X, y)", SPLIT], "SMOTE().fit_resample(X, y)"),
    "features chosen by the target": (["Z = SelectKBest(k=5).fit_transform(X, y)", "cross_val_score(model, Z, y)"], "SelectKBest(k=5).fit_transform(X, y)"),
    "the mean of all rows": (["X = X.fillna(X.mean())", SPLIT], "X.fillna(X.mean())"),
    "a standardised column": (["X = (X - X.mean()) / X.std()", SPLIT], "(X - X.mean()) / X.std()"),
    "by way of another name": (["Z = pca.fit_transform(X)", "W = Z[:, :3]", "a, b = train_test_split(W)"], "pca.fit_transform(X)"),
}  # fmt: skip
CLEAN = {
    "fitted on training rows": [SPLIT, "s = StandardScaler().fit(X_train)\nX_test = s.transform(X_test)"],
    "scaled after the split": [SPLIT, "X_train = scaler.fit_transform(X_train)"],
    "a pipeline in folds": ["cross_val_score(make_pipeline(StandardScaler(), model), X, y)"],
    "a model fitted and validated anew": ["model.fit(X, y)", "cross_val_score(model, X, y)"],
    "looked at, not used": ["print(X.mean())\nembedding = PCA().fit_transform(X)", SPLIT],
    "the name was given anew": ["X = s.fit_transform(X)", "X = df.drop(columns='y')", SPLIT],
    "a row's own statistic": ["X['total'] = X['a'] + X['b']", SPLIT],
}


def _find(tmp_path, cells):
    file = tmp_path / "analysis.ipynb"
    file.write_text(
        notebooks.notebook(*((f"c{n}", "code", source) for n, source in enumerate([LOAD, *cells])))
    )
    return code_leaks.find(file)


@pytest.mark.parametrize("name", LEAKING)
def test_a_fit_before_the_split_is_named_with_its_place(tmp_path, name):
    cells, code = LEAKING[name]
    (leak,) = _find(tmp_path, cells)
    assert leak.code == code
    assert leak.where.startswith("code cell 2, line ")
    assert leak.split.startswith(f"code cell {1 + len(cells)}, line 1: ")


@pytest.mark.parametrize("name", CLEAN)
def test_code_that_learns_after_the_split_is_not_accused(tmp_path, name):
    assert _find(tmp_path, CLEAN[name]) == []


def test_a_function_of_the_data_stage_sees_all_rows(tmp_path):
    unify = "#| export\ndef unify(raw):\n    raw['a'] = raw['a'].fillna(raw['a'].median())\n    return raw"
    (leak,) = _find(
        tmp_path,
        [unify, "#| export\ndef create_pipeline():\n    return ingest.create_pipeline(SCHEMA, unify=unify)"],
    )
    assert leak.code == "raw['a'].fillna(raw['a'].median())"
    assert "function unify" in leak.where


def test_magics_are_skipped_and_what_does_not_parse_is_said(tmp_path):
    assert _find(tmp_path, ["%matplotlib inline\n!ls", SPLIT]) == []
    with pytest.raises(SourceError, match="code cell 2, line 1: "):
        _find(tmp_path, ["def ("])
    (tmp_path / "analysis.ipynb").write_text(json.dumps({"cells": 1}))
    with pytest.raises(SourceError, match="cannot be read"):
        code_leaks.find(tmp_path / "analysis.ipynb")
