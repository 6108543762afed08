# The verbs: run, test, check, bench, soak, lab, clean. Each makes the environment first if it is missing or stale.
.DEFAULT_GOAL := help
.PHONY: help run test check bench soak lab clean

PYTHON ?= python3
UV := .tools/bin/uv
BIN := .venv/bin
READY := .venv/.ready
# JupyterLab refuses root unless told; a container often has no other user.
ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)
# Tests side by side start processes side by side, which with a thread for every core each would wait for each other. Of three, one mostly waits
# for what another makes, so two cores are busy.
SINGLE := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
export KEDRO_DISABLE_TELEMETRY := 1
export MLFLOW_DISABLE_TELEMETRY := true
export UV_PYTHON_DOWNLOADS := never

help:            ## list the verbs
	@grep -E '^[a-z]+: .*##|^help:' Makefile | sed 's/:[^#]*##/\t/' | expand -t 10

$(UV): requirements/uv.txt
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --target .tools --upgrade --require-hashes -r requirements/uv.txt
	@touch $(UV)

$(READY): $(UV) requirements/all.txt pyproject.toml
	$(UV) venv --quiet --allow-existing --python $(PYTHON) .venv
	$(UV) pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements/all.txt
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $(READY)

run: $(READY)    ## the main job: execute the notebooks, train, explain, release a wheel; CASE=all, or one
	$(BIN)/hardcover run $(CASE) $(ARGS)

test: $(READY) check ## everything: lint, notebooks in sync, all tests, the main job included
	$(SINGLE) $(BIN)/pytest --numprocesses 4 --dist worksteal $(ARGS)

check: $(READY)  ## lint, format, types, import rules, notebooks clean and in sync with src/
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --no-error-summary
	$(BIN)/lint-imports --no-cache
	$(BIN)/pytest --quiet tests/notebooks/test_notebooks.py -k 'clean or carries or opens or small'

bench: $(READY)  ## measure side by side with peers; tables in docs/benchmarks.md
	$(BIN)/python benchmarks/runtime.py $(ARGS)
	$(BIN)/python benchmarks/kernel.py $(ARGS)
	$(BIN)/python benchmarks/windows.py $(ARGS)
	$(BIN)/python benchmarks/serving.py $(ARGS)
	$(BIN)/python benchmarks/serving_grpc.py $(ARGS)
	$(BIN)/python benchmarks/monitoring.py $(ARGS)
	$(BIN)/python benchmarks/main_job.py $(ARGS)
	$(BIN)/python benchmarks/machinery.py $(ARGS)

soak: $(READY)   ## long campaigns: random models and rows, hostile files, killed savers, many writers, random edits, hostile requests
	HYPOTHESIS_PROFILE=soak $(BIN)/pytest tests/runtime tests/release/test_row_code.py tests/forest/test_lightgbm_text.py tests/store/test_versions.py tests/store/test_drafts.py tests/tasks tests/execution/test_unchanged.py tests/template/test_bad_input.py tests/windows tests/serving tests/modelling tests/monitoring tests/lineage/test_reproduce.py $(ARGS)

lab: $(READY)    ## JupyterLab on the project; git shows and merges notebooks as notebooks from now on
	$(BIN)/python -m hardcover.lab.git_drivers
	$(BIN)/jupyter lab --ServerApp.root_dir=. --LabApp.default_url=/lab/tree/notebooks/index.ipynb $(ROOT) $(ARGS)

clean:           ## remove the environment, caches and everything that runs made
	rm -rf .venv .tools .pytest_cache .ruff_cache .mypy_cache .hypothesis .artifacts dist environments replay mlartifacts mlflow.db* benchmarks/results
	-for each in filter.notebook diff.jupyternotebook merge.jupyternotebook; do git config --remove-section $$each; done 2>/dev/null
	find data -mindepth 2 -not -name .gitkeep -delete
