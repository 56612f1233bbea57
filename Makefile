# `make test` and `make demo` need nothing before them but Python 3.11 to 3.14.
PYTHON ?= python3
SR_DATA ?= ../shared/data
VENV := .venv
RUN := $(VENV)/bin/python
EXTRAS := cpu,export,train,vips,geo,video,ray,bench,dev,docs
DEMO := demo/venv
# A file's tests share what they set up, so they stay in one process; the slowest files come first.
IN_PARALLEL := --numprocesses auto --dist loadfile --no-loadscope-reorder
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: install quick test support fuzz lint docs demo bench constraints clean

install: $(VENV)/complete

# The environment in whose folder the target's stamp is to be.
define create_environment
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' || \
	  { echo "Python 3.11 to 3.14 is needed: make PYTHON=python3.12 …"; exit 1; }
	$(PYTHON) -m venv $(@D)
endef

# The stamp comes last, so that an interrupted installation is completed by the next one. torch comes
# first and by exact version: left to a dependency's choice, another build may be taken. The mode
# `compat` puts the clone on the path, where mypy and Pyright find the packages.
$(VENV)/complete: setup.cfg pyproject.toml constraints.txt
	$(create_environment)
	$(RUN) $(PIP_INSTALL) torch==2.13.0
	$(RUN) $(PIP_INSTALL) --editable '.[$(EXTRAS)]' --config-settings editable_mode=compat
	$(RUN) $(PIP_INSTALL) --no-deps spandrel einops    # spandrel asks for torchvision
	touch $@

# What a user gets: not editable, with the engines and without torch. So it is to be installed again
# when the package has changed.
$(DEMO)/complete: setup.cfg pyproject.toml constraints.txt \
    $(shell find sr_runtime -type f -not -path '*/__pycache__/*')
	$(create_environment)
	$(DEMO)/bin/python $(PIP_INSTALL) '.[cpu]'
	touch $@

# What to run while working: under two minutes.
quick: install
	SR_DATA=$(SR_DATA) $(RUN) -m pytest -q $(IN_PARALLEL) -m 'not slow'

test: install
	SR_DATA=$(SR_DATA) $(RUN) -m pytest -q $(IN_PARALLEL)

# What this machine runs, for docs/support.md.
support: install
	$(RUN) -m tests.support

# Damaged files for every reader; a longer run learns more, and the next one goes on from there.
MINUTES ?= 1
fuzz: install
	$(RUN) -m tests.fuzz --minutes $(MINUTES)

# The second mypy sees the signatures of TensorRT 10, the first those of 11 (setup.cfg).
lint: install
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	MYPYPATH=tests/stubs/tensorrt10 $(RUN) -m mypy \
	  $$(grep -rlE '\btrt\.' --include='*.py' sr_runtime sr_export benchmarks)
	$(VENV)/bin/lint-imports --config setup.cfg

# The site, in site/. A page without a place in it and a link that leads nowhere fail.
docs: install
	NO_MKDOCS_2_WARNING=1 DISABLE_MKDOCS_2_WARNING=true $(RUN) -m mkdocs build --strict --quiet

# -P: the installed package, and not the folder of the same name here.
demo: $(DEMO)/complete
	$(DEMO)/bin/python -P -m sr_runtime.examples.before_after -o demo

bench: install
	SR_DATA=$(SR_DATA) $(RUN) -m benchmarks.report
	SR_DATA=$(SR_DATA) $(RUN) -m benchmarks.training -o benchmarks/results/cpu_training.json
	SR_DATA=$(SR_DATA) $(RUN) -m benchmarks.loader -o benchmarks/results/cpu_loader.json
	SR_DATA=$(SR_DATA) $(RUN) -m benchmarks.quality_per_cost
	SR_DATA=$(SR_DATA) $(RUN) -m benchmarks.photo $(SR_DATA)/photos/*

# What is installed here and was tested becomes what others install.
constraints: install
	$(RUN) -m pip freeze --exclude-editable | sed 's/+cpu$$//' > constraints.txt

clean:
	rm -rf $(VENV) .fuzz build dist site *.egg-info demo .benchmarks
