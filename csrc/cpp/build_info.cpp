// How the libraries beside this module were built. It needs no torch.

#include <pybind11/pybind11.h>

PYBIND11_MODULE(_build, module) {
  module.doc() = "How the compiled operations of millivid.kernels were built.";
  module.def(
      "info",
      [] {
        pybind11::dict info;
        info["torch"] = MILLIVID_TORCH;
        info["torch_target"] = MILLIVID_TORCH_TARGET;
        info["compiler"] = "C++ " __VERSION__;
        info["cuda"] = MILLIVID_CUDA;
        info["cuda_architectures"] = MILLIVID_CUDA_ARCHITECTURES;
        info["schemas"] = MILLIVID_SCHEMAS;
        return info;
      },
      "Versions, compiler, and the digest of the operations' signatures.");
}
