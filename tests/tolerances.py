"""How far two right results may lie apart, by the precision that they were computed in.

One table, so that a tolerance belongs to a precision and its reason, not to a test. None of them
depends on how one processor rounds: a bfloat16 product rounds differently with AVX512-BF16 and with
AMX, and neither is wrong.
"""

__all__ = ["LARGEST_DIFFERENCE", "MIN_PSNR"]

LARGEST_DIFFERENCE = {
    # Engines add up in different orders: a value halfway between two steps rounds either way.
    "fp32": 1,
    # 11 significant bits: one rounding of a value near 1 moves it by an eighth of a step.
    "fp16": 2,
    # 8 significant bits: one rounding of a value near 1 moves it by up to half a step, and every
    # layer rounds. Seen with random weights: 3 with AVX512-BF16, 4 with AMX.
    "bf16": 8,
}
"""Steps of 1/255 between two 8-bit results, at the pixel where they differ most."""

MIN_PSNR = 45.0
"""dB between a result in reduced precision and that in fp32, 1 being white: the limit that
`sr_export` sets for the files it writes."""
