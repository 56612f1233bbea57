"""pixels.cu compiled: to the PTX that is shipped, and for this processor, to be tested on it.

`python -m tests.runtime.cuda_kernels` writes the PTX anew after a change of the source.
"""

import ctypes
import hashlib
import platform
import re
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sr_runtime.backends.cuda import pixels

__all__ = [
    "NVCC",
    "RUNS_ON_THE_HOST",
    "compiler_version",
    "host_kernels",
    "ptx_from_source",
    "source_digest",
]

SOURCE = pixels.PTX.with_suffix(".cu")
NVCC, COMPILER = shutil.which("nvcc"), shutil.which("g++")
# Other processors have other ways to convert half precision.
RUNS_ON_THE_HOST = COMPILER is not None and platform.machine() in ("x86_64", "AMD64")

# What CUDA defines, for a processor of one thread.
CUDA_ON_THE_HOST = """
#include <cstddef>
#include <math.h>
#define __global__
struct Index { unsigned x, y; };
static Index blockIdx, blockDim, threadIdx;
#include SOURCE
#define DEFINE_ALL_THREADS(kernel) \\
extern "C" void all_threads_of_##kernel(int images, \\
    void* from, void* to, unsigned char* finite, \\
    int area, int colors, int channels, int wide, int half) { \\
    blockDim.x = 4; \\
    for (blockIdx.y = 0; blockIdx.y < (unsigned)images; ++blockIdx.y) \\
        for (blockIdx.x = 0; blockIdx.x < (unsigned)(area + 3) / 4; ++blockIdx.x) \\
            for (threadIdx.x = 0; threadIdx.x < 4; ++threadIdx.x) \\
                kernel(from, to, finite, area, colors, channels, wide, half); \\
}
DEFINE_ALL_THREADS(planes_from_pixels)
DEFINE_ALL_THREADS(pixels_from_planes)
"""
HALF_ON_THE_HOST = """
#include <immintrin.h>
struct __half { unsigned short bits; };
static float __half2float(__half value) { return _cvtsh_ss(value.bits); }
static __half __float2half_rn(float value) { return {_cvtss_sh(value, 0)}; }
"""


def source_digest() -> str:
    return hashlib.sha256(SOURCE.read_bytes().replace(b"\r\n", b"\n")).hexdigest()


@cache
def compiler_version() -> str:
    assert NVCC is not None
    done = subprocess.run([NVCC, "--version"], capture_output=True, text=True, check=True)
    return re.search(r"V[\d.]+", done.stdout)[0]


def ptx_from_source(folder: Path) -> str:
    """The PTX of pixels.cu, without what changes from run to run.

    nvcc 13 labels it for drivers from CUDA 13 and for cards from compute capability 7.5. Nothing in
    it needs either, so the labels are those of CUDA 9 and of the oldest cards that ONNX Runtime
    runs on; assemblers refuse an instruction that is newer than the labels.
    """
    assert NVCC is not None
    output = folder / "pixels.ptx"
    options = ["-ptx", "-arch=compute_75", "--fmad=false"]
    subprocess.run([NVCC, *options, str(SOURCE), "-o", str(output)], check=True)
    lines = [line for line in output.read_text(encoding="ascii").splitlines() if line.strip()]
    code = "\n".join(line for line in lines if not line.lstrip().startswith("//"))
    code = re.sub(r"(?m)^\.version .*$", ".version 6.0", code)
    code = re.sub(r"(?m)^\.target .*$", ".target sm_60", code)
    return (
        f"// pixels.cu, SHA-256 {source_digest()}\n// nvcc {compiler_version()} "
        f"{' '.join(options)}\n{code}\n"
    )


def host_kernels(folder: Path) -> Callable[..., None]:
    """The kernels compiled for this processor: `run(name, source, target, finite, numbers=…)`."""
    assert COMPILER is not None
    (folder / "cuda_fp16.h").write_text(HALF_ON_THE_HOST)
    (folder / "host.cpp").write_text(CUDA_ON_THE_HOST.replace("SOURCE", f'"{SOURCE}"'))
    library = folder / "pixels.so"
    options = ["-shared", "-fPIC", "-O2", "-ffp-contract=off", "-mf16c", f"-I{folder}"]
    subprocess.run([COMPILER, *options, str(folder / "host.cpp"), "-o", str(library)], check=True)
    loaded = ctypes.CDLL(str(library))

    def run(name: str, *arrays: NDArray[np.generic], numbers: tuple[int, ...]) -> None:
        addresses = [ctypes.c_void_p(array.ctypes.data) for array in arrays]
        getattr(loaded, f"all_threads_of_{name}")(len(arrays[-1]), *addresses, *numbers)

    return run


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as temporary:
        pixels.PTX.write_text(ptx_from_source(Path(temporary)), encoding="ascii", newline="\n")
