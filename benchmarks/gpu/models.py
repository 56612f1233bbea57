"""The network to measure, its FP16 files, and the backends that can run them here."""

import copy
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import sr_runtime
from benchmarks.data import DATA, photo
from benchmarks.gpu.run import Engine, Run
from sr_runtime.backends import registry
from sr_runtime.errors import ArgumentError, SRError, require_extra
from sr_runtime.model_info import DEFAULT_HALO, IO
from sr_train.checkpoint import load_generator, weights_sha256
from sr_train.models.generator import Generator
from sr_train.models.rrdbnet import RRDBNet

__all__ = ["chosen_generator", "models", "opened", "to_device"]

WEIGHTS = DATA / "weights" / "RRDB_ESRGAN_x4.pth"
BLOCKS = 23
SIDE = 48  # of the crop on which a fresh network is scaled
IOS: tuple[IO, ...] = ("float32", "uint8")
# The least seconds left for each of TensorRT's optimisation levels; its default is 3.
LEVELS = {180: 3, 90: 2, 45: 1}


def chosen_generator(checkpoint: Path | None, blocks: int | None) -> tuple[str, Generator]:
    """A description, and the network: the checkpoint's, else the authors' RRDB-23 if it is there,
    else a fresh one.

    Raises:
        ModelError: The file is not a checkpoint.
        ArgumentError: The network does not take RGB, which the photos are.
    """
    if checkpoint is None and blocks is None and WEIGHTS.exists():
        checkpoint = WEIGHTS
    if checkpoint is None:
        blocks = BLOCKS if blocks is None else blocks
        return f"RRDB ×4 of {blocks} blocks and random weights", _fresh(blocks)
    generator = load_generator(checkpoint)
    if generator.in_channels != 3:
        raise ArgumentError(
            f"{checkpoint}: its network takes {generator.in_channels} channel(s), and the photos "
            "of the benchmark have 3: give another"
        )
    return f"{checkpoint.name} ({generator.arch} ×{generator.scale_factor})", generator


def to_device(run: Run) -> Generator:
    """The network as PyTorch runs it fastest without compiling: channels-last, in FP16 on a GPU."""
    return copy.deepcopy(run.generator).to(  # type: ignore[call-overload, no-any-return]
        run.device, run.dtype, memory_format=torch.channels_last
    )


def models(run: Run) -> dict[str, Any]:
    """Export the network for both kinds of input and output."""
    with require_extra("export"):
        from sr_export.to_onnx import onnx_from_generator
    seconds = {}
    for io in IOS:
        start = time.monotonic()
        # Calibrating the halo takes long on a slow CPU, and the default costs about the same.
        exported = onnx_from_generator(run.generator, precision="fp16", io=io, halo=DEFAULT_HALO)
        run.models[io] = run.folder / f"{io}.onnx"
        run.models[io].write_bytes(exported.SerializeToString())
        seconds[io] = time.monotonic() - start
    return {
        "network": run.network,
        "arch": run.generator.arch,
        "architecture": run.generator.architecture,
        "weights_sha256": weights_sha256(run.generator),
        "halo": DEFAULT_HALO,
        "export_seconds": seconds,
    }


def opened(run: Run) -> dict[str, Any]:
    """Open every file in every backend that works on the device; note those that do not."""
    if not run.models:
        run.leave_out("every backend", "there is no ONNX file to be run")
    level = next((level for least, level in LEVELS.items() if run.left() >= least), 0)
    found: dict[str, Any] = {}
    for backend in registry.names() if run.models else ():
        try:
            _, device = registry.choose(backend, str(run.device))
        except SRError as error:
            run.leave_out(backend, str(error))
            continue
        for io, model in run.models.items():
            name = f"{backend}, io {io}"
            if backend == "tensorrt" and run.left() < 0:
                run.leave_out(name, "no time was left to build its engine: give more --minutes")
                continue
            opening = partial(_open, run, model, backend=backend, device=device, level=level)
            run.attempt(name, partial(opening, name, found))
    return found


def _open(
    run: Run,
    model: Path,
    name: str,
    found: dict[str, Any],
    *,
    backend: str,
    device: str,
    level: int,
) -> None:
    """Open one file until the end of the run, and note its properties."""
    start = time.monotonic()
    file = _engine_file(run, model, level) if backend == "tensorrt" else model
    upscaler = sr_runtime.load(file, backend=backend, device=device)
    run.held.callback(upscaler.close)
    run.engines.append(Engine(name, file, upscaler))
    found[name] = {
        "seconds": time.monotonic() - start,
        "precision": upscaler.backend.compute_dtype,
        "tile": list(upscaler.max_tile),
        "batch": upscaler.backend.limits.batch,
        "batches_in_flight": upscaler.backend.limits.depth,
    }
    if backend == "tensorrt":
        found[name]["level"] = level


def _engine_file(run: Run, model: Path, level: int) -> Path:
    """Build a TensorRT engine; BackendError if that takes longer than the time that is left."""
    from sr_runtime.backends.tensorrt.build import build_engine
    from sr_runtime.backends.tensorrt.engine_file import write_engine
    from sr_runtime.backends.tensorrt.options import BuildOptions

    plan, info = build_engine(
        model,
        BuildOptions(level=level),
        device=str(run.device),
        timing_cache=run.folder / "timings",  # the second build reuses what the first measured
        cancelled=lambda: run.left() < 0,
    )
    engine = model.with_suffix(".engine")
    write_engine(engine, plan, info)
    return engine


def _fresh(blocks: int) -> RRDBNet:
    """RRDB ×4 with seeded weights, whose output is a busy picture in the middle of [0, 1]."""
    torch.manual_seed(0)
    generator = RRDBNet(num_basic_blocks=blocks).eval()
    with torch.inference_mode():
        for module in generator.modules():
            if isinstance(module, nn.Conv2d):  # the initial ones are tiny, for training
                nn.init.kaiming_normal_(module.weight)
                # Not zero: the exporter would fold such biases away, and the rates would flatter.
                nn.init.normal_(module.bias, std=0.01)  # type: ignore[arg-type]
        crop = photo()[:SIDE, :SIDE].transpose(2, 0, 1) / np.float32(255)
        output = generator(torch.from_numpy(crop)[None])
        spread, mean = output.std(), output.mean()
        generator.conv_last.weight *= 0.2 / spread
        generator.conv_last.bias += 0.5 - mean * 0.2 / spread
    return generator
