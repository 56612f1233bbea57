"""SwiftShader, a GPU in software, which Debian's package chromium-common brings."""

import ctypes
import os
from pathlib import Path

from sr_runtime.backends.onnxruntime.vulkan import vulkan_adapters
from sr_runtime.errors import BackendError

__all__ = ["use_gpu_or_software_adapter", "use_software_adapter"]

FOLDER = Path("/usr/lib/chromium")


def use_software_adapter() -> None:
    """Let WebGPU find this adapter and no other, here and in processes started from here.

    Call it before the plug-in is loaded. A host that names its own Vulkan driver is left alone.
    """
    driver = FOLDER / "vk_swiftshader_icd.json"
    if "VK_DRIVER_FILES" in os.environ or not driver.exists():
        return
    os.environ["VK_DRIVER_FILES"] = str(driver)
    os.environ["ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER"] = "1"
    folders = [str(FOLDER), os.environ.get("LD_LIBRARY_PATH", "")]
    os.environ["LD_LIBRARY_PATH"] = ":".join(filter(None, folders))
    # Too late for this process, where the Vulkan loader is found by name once it is loaded.
    ctypes.CDLL(str(FOLDER / "libvulkan.so.1"), ctypes.RTLD_GLOBAL)


def use_gpu_or_software_adapter() -> None:
    """Let WebGPU run on SwiftShader, where that is installed and Vulkan finds no GPU."""
    try:
        found = not vulkan_adapters()[0].software
    except BackendError:
        found = False
    if not found:
        use_software_adapter()
