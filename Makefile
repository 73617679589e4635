# Everything runs in .venv, which is made (and remade when pyproject.toml changes) on demand.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
ACCSIM := $(BIN)/accsim
DEMO := build/demo
DECODE := --phase decode --context 512

.PHONY: demo test lint types tests tests-slow pim-gpt clean

test: lint types tests

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy simulator

tests: $(STAMP)
	$(BIN)/python -m pytest

tests-slow: $(STAMP)
	$(BIN)/python -m pytest -m slow

# pim-gpt lacks the memory for the 7B model: it says so, runs with more of it, and runs what fits.
demo: $(STAMP)
	$(ACCSIM) hw list
	$(ACCSIM) run llama2-7b $(DECODE) --hw a100-sxm-80gb --launch graph --out $(DEMO)/a100
	$(ACCSIM) run llama2-7b $(DECODE) --hw flightllm-u280 --out $(DEMO)/flightllm
	$(ACCSIM) run llama2-7b $(DECODE) --hw pim-gpt || true
	$(ACCSIM) run llama2-7b $(DECODE) --hw pim-gpt --set memory.organization.stacks=16 \
	  --out $(DEMO)/pim-gpt-16
	$(ACCSIM) run gpt2-xl $(DECODE) --hw pim-gpt --out $(DEMO)/pim-gpt
	$(ACCSIM) run gcn:synthetic-cora --hw a100-sxm-80gb --out $(DEMO)/gnn
	@echo "open $(DEMO)/a100/report.html"

# Eight models on four systems, about four minutes on two cores; renews the page beside the study.
pim-gpt: $(STAMP)
	$(BIN)/python validation/cases/pim_gpt --jobs 2 --write

# The interpreter is checked first, so that an old one fails with a sentence.
$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info < (3, 14) else \
	  "accsim needs Python 3.11 to 3.13; run: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

clean:
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache
