# The developer's whole vocabulary. Every target makes the environment it needs.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
# One thread per process: tests and solves run side by side, and results do not depend on cores.
export OMP_NUM_THREADS ?= 1

.PHONY: help demo check fix test wheel docs bench clean

help:  ## show the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: $(VENV)/ready  ## check the Iowa network's tables and plan it
	$(BIN)/optrl check examples/iowa/instance
	$(BIN)/optrl plan examples/iowa/instance --out out/iowa

check: $(VENV)/ready  ## format, lint, types and import floors
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: $(VENV)/ready  ## format, and repair what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test: $(VENV)/ready  ## all tests, on two processes
	$(BIN)/pytest -n 2

wheel: $(VENV)/ready  ## build the wheel, install it into an empty environment and use it there
	rm -rf dist build/wheel
	$(BIN)/python -m build --wheel --outdir dist
	$(PYTHON) -m venv build/wheel
	build/wheel/bin/python -m pip install --quiet --constraint constraints.txt dist/*.whl
	cd build/wheel && bin/optrl check ../../examples/iowa/instance

docs: $(VENV)/ready  ## build the documentation; every example runs, every warning fails
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html

bench: $(VENV)/ready  ## benchmarks with ratios against named peers, and the long studies
	$(BIN)/python benchmarks/resolve.py
	$(BIN)/python benchmarks/simulate.py
	$(BIN)/python benchmarks/known_values.py ../shared/data docs/results/known_values.csv
	$(BIN)/python benchmarks/published_instances.py lost-sales dual-sourcing serial one-warehouse-multi-retailer
	$(BIN)/python benchmarks/iowa_report.py
	$(BIN)/python benchmarks/learn.py --out docs/results/learn.csv
	$(BIN)/python benchmarks/learned_lost_sales.py --out docs/results/learned_lost_sales.csv
	$(BIN)/python benchmarks/learned_dual_sourcing.py --out docs/results/learned_dual_sourcing.csv
	$(BIN)/python benchmarks/learned_serial.py --out docs/results/learned_serial.csv
	$(BIN)/python benchmarks/learned_one_warehouse.py --out docs/results/learned_one_warehouse.csv
	$(BIN)/python benchmarks/embedding.py --table docs/results/embedding.csv
	$(BIN)/python benchmarks/ppo_lost_sales.py
	$(BIN)/python benchmarks/gym_invmgmt_profit.py --out out/gym_invmgmt.csv
	$(BIN)/python benchmarks/sddp_lost_sales.py docs/results/sddp_lost_sales.csv
	$(BIN)/python benchmarks/sddp_serial.py docs/results/sddp_serial.csv
	$(BIN)/python benchmarks/stochastic_programs.py ../shared/data docs/results/stochastic_programs.csv
	$(BIN)/python benchmarks/decompose.py docs/results/decompose.csv --items 100 1000 10000 100000
	$(BIN)/python benchmarks/dual_guided.py out/dual_guided --table docs/results/dual_guided.csv
	$(BIN)/python benchmarks/kill_training.py

clean:  ## remove what the targets made
	rm -rf $(VENV) build dist docs/_build docs/_generated docs/auto_examples out
