"""The names that users may rely on: whoever adds or removes one changes this list too."""

import importlib
import inspect

import pytest

PUBLIC = {
    "sr_runtime": (
        "ArgumentError BackendError DataError ImageError ModelError ModelInfo NonFiniteError "
        "OutOfMemoryError Progress RowReader RowWriter SRError StorageError Upscaler __version__ "
        "load"
    ),
    "sr_runtime.video": "UpscaledVideo partial_file upscale_video",
    "sr_train": "FitResult fit load_generator",
    "sr_train.config": "Config preset",
    "sr_export": (
        "CatalogueRow Check EngineReport ExportReport Profile Progress TritonVersion "
        "VerificationError build_engine export_folder export_onnx model_card triton_repository "
        "verify"
    ),
}


@pytest.mark.parametrize("module", PUBLIC)
def test_the_public_names_are_these_and_documented(module: str) -> None:
    package = importlib.import_module(module)
    assert package.__all__ == PUBLIC[module].split()
    for name in package.__all__:
        value = getattr(package, name)
        assert value.__doc__ or not (inspect.isclass(value) or inspect.isfunction(value)), name
