"""Where the operations are tested: on the CPU always, on a GPU with `pytest -m gpu`.

MILLIVID_TEST_LIBRARY names a library to test in place of the installed one, which MILLIVID_KERNELS=0 switches off.
"""

import os

import pytest
import torch

import millivid.kernels  # noqa: F401 - which defines the operations

if "MILLIVID_TEST_LIBRARY" in os.environ:
    torch.ops.load_library(os.environ["MILLIVID_TEST_LIBRARY"])


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> str:
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("torch sees no CUDA device")
    return request.param
