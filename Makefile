# make demo    the whole way on drawn streets, in a few minutes, from nothing but Python and make;
#              goes on where it was interrupted
# make test    style, then types (make types) and every test (make tests) side by side
# make browser Chromium from Debian, by apt-get: without it the tests of pages skip
# make web     ONNX Runtime Web by npm, for pages: fetched on installing where npm is there
# make fuzz    hostile files, 20,000 for every place where files come in (CASES=N for others)
# make compat  exported files in the oldest onnxruntime that pyproject.toml allows
# make phone   the tests of LiteRT's, ncnn's and Core ML's files, with packages (2.4 GB) of their own
# make bench   the figures of the README's table, each against the stock way in the same run

PYTHON ?= python3
BIN := .venv/bin
CASES ?= 20000
# test processes: one more than two cores, since a test may wait
TESTERS ?= 3
BENCHMARKS := realtime decode augment training cityscapes

.PHONY: demo test check style types tests browser web fuzz compat phone bench

demo: .venv/installed
	$(BIN)/briskseg demo --out demo

test: style
	$(MAKE) --no-print-directory $(if $(findstring jobserver,$(MAKEFLAGS)),,--jobs=2) types tests

check: style types

style: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/installed
	$(BIN)/mypy

# what Python compiles is kept, whatever the environment says: tests start it hundreds of times
tests: .venv/installed
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/pytest -n $(TESTERS) --dist loadfile --no-loadscope-reorder

browser:
	apt-get install --yes --no-install-recommends chromium

web: .venv/installed
	$(BIN)/python -m briskseg.export.web_runtime

fuzz: .venv/installed
	$(BIN)/python tests/fuzz/run.py --cases $(CASES)
	$(BIN)/python tests/fuzz/serve.py --cases $(CASES)

compat: .venv/installed .venv-oldest/installed
	$(BIN)/python tests/compat/write_files.py build/compat
	.venv-oldest/bin/python tests/compat/run_files.py build/compat

phone: .venv-litert/installed
	OMP_NUM_THREADS=1 .venv-litert/bin/pytest -p no:anyio -k 'litert or ncnn or coreml or core_ml or phone or test_recipe' tests/export tests/test_every_export.py tests/test_recipe.py

bench: .venv/installed
	for name in $(BENCHMARKS); do $(BIN)/python benchmarks/$$name.py || exit 1; done

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all,dev]'
	touch $@

.venv-litert/installed: pyproject.toml constraints-litert.txt
	$(PYTHON) -m venv .venv-litert
	.venv-litert/bin/pip install --quiet --disable-pip-version-check -c constraints-litert.txt -e '.[all,litert-export,ncnn-export,coreml,dev]'
	touch $@

.venv-oldest/installed:
	$(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/pip install --quiet --disable-pip-version-check 'onnxruntime==1.20.*' 'numpy<2.3'
	touch $@
