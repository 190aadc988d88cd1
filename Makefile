# make demo: sets up and runs the main job.  make test: sets up and runs the tests.
# make test-quick: a few tests of every room.  make test-all: what make test leaves out.
# make docs: builds the documentation into build/site; a broken link or reference fails.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUTPUT ?= outputs/quickstart
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e
PYTEST := $(BIN)/python -m pytest -n 2 --dist worksteal
NUMERICAL := layers estimators/fisher \
  $(addprefix models/test_,conversion.py recalibration.py serving.py training.py)

.PHONY: demo test test-quick test-all lint reproduction-table docs clean

$(BIN)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else f"Python 3.11 to 3.13 is needed. Received: {sys.version.split()[0]}")'
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) '.[examples,test]'
	touch $@

demo: $(BIN)/.installed
	$(BIN)/python examples/quickstart.py --output_dir=$(OUTPUT)

test: $(BIN)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell README.md CHANGELOG.md docs keras_infobottleneck
	$(BIN)/python -m mypy
	$(PYTEST) -m 'not slow'

test-quick: $(BIN)/.installed
	$(PYTEST) -m quick

# Long tests, one of which builds the documentation. Then once more those whose numbers or kernels
# may differ where TensorFlow leaves oneDNN off: on processors without AVX-512 it does so by itself,
# and `make test` has run them so.
test-all: $(BIN)/.installed
	$(INSTALL) '.[docs]'
	$(PYTEST) -m slow
	if grep -q avx512 /proc/cpuinfo; then \
	  TF_ENABLE_ONEDNN_OPTS=0 $(PYTEST) -m 'not slow' $(addprefix tests/,$(NUMERICAL)); fi

lint: $(BIN)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

reproduction-table: $(BIN)/.installed
	$(BIN)/python tools/write_reproduction_table.py

docs: $(BIN)/.installed
	$(INSTALL) '.[docs]'
	CUDA_VISIBLE_DEVICES= NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

clean:
	rm -rf $(VENV) outputs build dist *.egg-info
