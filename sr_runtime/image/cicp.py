"""Colours stated by numbers (ITU-T H.273): PNG's chunk cICP, and nclx in AVIF and HEIF."""

from sr_runtime.errors import ImageError
from sr_runtime.image.icc import BT709, SRGB_CURVE, ColorSpace, Primaries

__all__ = ["refuse_hdr", "space_from_cicp"]

D65, C, E = BT709.white, (0.310, 0.316), (1 / 3, 1 / 3)
BT601_525 = Primaries(D65, (0.630, 0.340), (0.310, 0.595), (0.155, 0.070))
PRIMARIES = {
    1: BT709,
    4: Primaries(C, (0.67, 0.33), (0.21, 0.71), (0.14, 0.08)),
    5: Primaries(D65, (0.64, 0.33), (0.29, 0.60), (0.15, 0.06)),
    6: BT601_525,
    7: BT601_525,
    8: Primaries(C, (0.681, 0.319), (0.243, 0.692), (0.145, 0.049)),
    9: Primaries(D65, (0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    10: Primaries(E, (1.0, 0.0), (0.0, 1.0), (0.0, 0.0)),
    11: Primaries((0.314, 0.351), (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    12: Primaries(D65, (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    22: Primaries(D65, (0.630, 0.340), (0.295, 0.605), (0.155, 0.077)),
}
# Video's curves describe the camera, not the screen; browsers show all of them as sRGB.
CURVES = dict.fromkeys((1, 6, 7, 11, 12, 13, 14, 15), SRGB_CURVE) | {
    4: 2.2,
    5: 2.8,
    8: 1.0,
    17: 2.6,
}
LOGARITHMIC = (9, 10)
HDR = {16: "PQ", 18: "HLG"}


def refuse_hdr(transfer: int) -> None:
    """Raise ImageError for a transfer characteristic of high dynamic range."""
    if transfer in HDR:
        raise ImageError(
            f"its pixels are high dynamic range ({HDR[transfer]}), which the models were not "
            "trained on: convert it to sRGB first"
        )


def space_from_cicp(primaries: int, transfer: int) -> ColorSpace | None:
    """The colour space that the numbers state; None for numbers that are reserved or unspecified.

    Raises ImageError for high dynamic range and logarithmic values.
    """
    refuse_hdr(transfer)
    if transfer in LOGARITHMIC:
        raise ImageError("its pixels are logarithms of light: convert it to sRGB first")
    if primaries not in PRIMARIES or transfer not in CURVES:
        return None
    return ColorSpace(PRIMARIES[primaries], (CURVES[transfer],))
