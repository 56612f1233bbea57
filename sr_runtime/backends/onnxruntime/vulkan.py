"""Asks Vulkan for its adapters: on Linux WebGPU runs on one of them, and does not say on which."""

import ctypes
from typing import NamedTuple

from sr_runtime.errors import BackendError

__all__ = ["Adapter", "vulkan_adapters"]

# VkPhysicalDeviceType. WebGPU takes a discrete GPU if there is one, else an integrated one.
DISCRETE, INTEGRATED, CPU = 2, 1, 4
INSTANCE_CREATE_INFO = 1
# VkPhysicalDeviceProperties begins with these; all of it is 824 bytes.
PROPERTIES_SIZE = 1024


class _CreateInfo(ctypes.Structure):
    """VkInstanceCreateInfo without an application, layers or extensions."""

    _fields_ = (
        ("type", ctypes.c_uint32),
        ("next", ctypes.c_void_p),
        ("flags", ctypes.c_uint32),
        ("application", ctypes.c_void_p),
        ("layer_count", ctypes.c_uint32),
        ("layers", ctypes.c_void_p),
        ("extension_count", ctypes.c_uint32),
        ("extensions", ctypes.c_void_p),
    )


class _Properties(ctypes.Structure):
    """How VkPhysicalDeviceProperties begins; `rest` is what is not read."""

    _fields_ = (
        ("api_version", ctypes.c_uint32),
        ("driver_version", ctypes.c_uint32),
        ("vendor", ctypes.c_uint32),
        ("device", ctypes.c_uint32),
        ("type", ctypes.c_uint32),
        ("name", ctypes.c_char * 256),
        ("rest", ctypes.c_uint8 * (PROPERTIES_SIZE - 276)),
    )


class Adapter(NamedTuple):
    """A GPU, or a program on the CPU that emulates one."""

    name: str
    software: bool


def vulkan_adapters() -> list[Adapter]:
    """Vulkan's adapters, the one that WebGPU takes first; BackendError if there is none."""
    try:
        vulkan = ctypes.CDLL("libvulkan.so.1")
    except OSError as error:
        raise BackendError(
            "the Vulkan loader libvulkan.so.1 is not installed: install your distribution's "
            "package (libvulkan1 or vulkan-loader) and the GPU's Vulkan driver"
        ) from error
    instance = ctypes.c_void_p()
    info = _CreateInfo(type=INSTANCE_CREATE_INFO)
    if vulkan.vkCreateInstance(ctypes.byref(info), None, ctypes.byref(instance)) != 0:
        raise BackendError("no Vulkan driver is installed: install the GPU's")
    try:
        count = ctypes.c_uint32()
        vulkan.vkEnumeratePhysicalDevices(instance, ctypes.byref(count), None)
        handles = (ctypes.c_void_p * count.value)()
        vulkan.vkEnumeratePhysicalDevices(instance, ctypes.byref(count), handles)
        found = []
        for handle in handles:
            properties = _Properties()
            vulkan.vkGetPhysicalDeviceProperties(ctypes.c_void_p(handle), ctypes.byref(properties))
            found.append(properties)
    finally:
        vulkan.vkDestroyInstance(instance, None)
    if not found:
        raise BackendError("Vulkan finds no GPU: install the GPU's Vulkan driver")
    found.sort(key=lambda one: (one.type != DISCRETE, one.type != INTEGRATED, one.type == CPU))
    return [Adapter(one.name.decode(errors="replace"), one.type == CPU) for one in found]
