# `make test` and `make demo` need nothing before them but Python 3.11 to 3.13.
PYTHON ?= python3
SR_DATA ?= ../shared/data
VENV := .venv
RUN := $(VENV)/bin/python
EXTRAS := cpu,export,train,vips,bench,dev
WEIGHTS := $(SR_DATA)/weights/realesr-animevideov3.pth
PHOTO := $(SR_DATA)/photos/coffee.png

.PHONY: install test lint demo bench constraints clean

install: $(VENV)/complete

# The stamp comes last, so that an interrupted installation is completed by the next one. torch comes
# first and by exact version: left to a dependency's choice, another build may be taken.
$(VENV)/complete: setup.cfg pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "Python 3.11 to 3.13 is needed: make PYTHON=python3.12 …"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch==2.13.0
	$(RUN) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[$(EXTRAS)]'
	touch $@

test: install
	SR_DATA=$(SR_DATA) $(RUN) -m pytest

# The second mypy sees the signatures of TensorRT 10, the first those of 11 (setup.cfg).
lint: install
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	MYPYPATH=tests/stubs/tensorrt10 $(RUN) -m mypy --cache-dir .mypy_cache/tensorrt10 \
	  $$(grep -rlE '\btrt\.' --include='*.py' sr_runtime sr_export benchmarks)
	$(VENV)/bin/lint-imports --config setup.cfg

demo: install
	@test -f $(WEIGHTS) -a -f $(PHOTO) || { \
	  echo "The demo needs $(WEIGHTS)"; \
	  echo "(realesr-animevideov3.pth, from the releases of github.com/xinntao/Real-ESRGAN)"; \
	  echo "and $(PHOTO) (from scikit-image). Put them there, or: make demo SR_DATA=FOLDER"; exit 1; }
	@mkdir -p demo
	$(RUN) -m sr_export onnx $(WEIGHTS) -o demo/animevideov3.onnx
	$(RUN) -m sr_runtime upscale $(PHOTO) -m demo/animevideov3.onnx -o demo/coffee_x4.png
	@echo "Look at demo/coffee_x4.png"

bench: install
	SR_DATA=$(SR_DATA) $(RUN) -m benchmarks.report
	SR_DATA=$(SR_DATA) $(RUN) -m benchmarks.training -o benchmarks/results/cpu_training.json
	SR_DATA=$(SR_DATA) $(RUN) -m benchmarks.loader -o benchmarks/results/cpu_loader.json

# What is installed here and was tested becomes what others install.
constraints: install
	$(RUN) -m pip freeze --exclude-editable | sed 's/+cpu$$//' > constraints.txt

clean:
	rm -rf $(VENV) build dist *.egg-info demo .benchmarks
