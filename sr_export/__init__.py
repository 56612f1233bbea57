"""Turn a checkpoint of ESRGAN, or of another network, into a verified ONNX model or an engine.

    import sr_export

    report = sr_export.export_onnx("RRDB_ESRGAN_x4.pth", "esrgan.onnx", precision="fp16")
    print(report.halo, report.seconds)
    sr_export.build_engine("esrgan.onnx", "esrgan.engine")
    sr_export.build_engine("esrgan.onnx", "esrgan_rtx.engine", kind="tensorrt-rtx")
    sr_export.triton_repository("esrgan.onnx", "repository", "esrgan_x4")

What is written was compared with the checkpoint in fp32 first; a model that differs is not written.
`python -m sr_export` does the same from the command line. Importing this package is quick: torch
and onnx are imported by the first call that needs them.
"""

from typing import TYPE_CHECKING

from sr_runtime.lazy import imported_at_first_use

if TYPE_CHECKING:
    from sr_export.card import model_card
    from sr_export.catalogue import export_folder
    from sr_export.engine import build_engine
    from sr_export.export import export_onnx, verify
    from sr_export.report import (
        CatalogueRow,
        Check,
        EngineReport,
        ExportReport,
        TritonVersion,
        VerificationError,
    )
    from sr_export.stages import Progress
    from sr_export.triton import triton_repository
    from sr_runtime.backends.tensorrt.options import Profile
else:
    __getattr__ = imported_at_first_use(
        __name__,
        {
            "CatalogueRow": "sr_export.report",
            "Check": "sr_export.report",
            "EngineReport": "sr_export.report",
            "ExportReport": "sr_export.report",
            "Profile": "sr_runtime.backends.tensorrt.options",
            "Progress": "sr_export.stages",
            "TritonVersion": "sr_export.report",
            "VerificationError": "sr_export.report",
            "build_engine": "sr_export.engine",
            "export_folder": "sr_export.catalogue",
            "export_onnx": "sr_export.export",
            "model_card": "sr_export.card",
            "triton_repository": "sr_export.triton",
            "verify": "sr_export.export",
        },
    )

__all__ = [
    "CatalogueRow",
    "Check",
    "EngineReport",
    "ExportReport",
    "Profile",
    "Progress",
    "TritonVersion",
    "VerificationError",
    "build_engine",
    "export_folder",
    "export_onnx",
    "model_card",
    "triton_repository",
    "verify",
]
