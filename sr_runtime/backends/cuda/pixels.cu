// Integer pixels <-> the planes of a float32 model, on the GPU.
//
// Every operation is that of sr_runtime/tensor.py, in its order and with its rounding, so that both
// give the same picture to the last bit. This needs --fmad=false: a fused multiply-add rounds once
// where numpy rounds twice. `python -m tests.runtime.cuda_kernels` makes pixels.ptx of this file.
//
// A thread does one pixel of one image; blockIdx.y is the image. Images have 1 or 3 colors and models
// 1 or 3 channels. `wide` is 1 for uint16 pixels, 0 for uint8; `half` is 1 for float16 planes, 0 for
// float32.

#include <cuda_fp16.h>

// Pixels (N, area, colors) to planes (N, channels, area) in [0, 1]; gray becomes R = G = B.
extern "C" __global__ void planes_from_pixels(
    const void* pixels, void* planes, unsigned char* finite,
    int area, int colors, int channels, int wide, int half)
{
    const size_t pixel = size_t(blockIdx.x) * blockDim.x + threadIdx.x, image = blockIdx.y;
    if (pixel >= size_t(area))
        return;
    if (pixel == 0)
        finite[image] = 1;  // until pixels_from_planes finds a value that is not
#pragma unroll 1
    for (int channel = 0; channel < channels; ++channel) {
        const size_t from = (image * area + pixel) * colors + (colors == channels ? channel : 0);
        const float value = wide ? static_cast<const unsigned short*>(pixels)[from] / 65535.0f
                                 : static_cast<const unsigned char*>(pixels)[from] / 255.0f;
        const size_t to = (image * channels + channel) * area + pixel;
        if (half)
            static_cast<__half*>(planes)[to] = __float2half_rn(value);
        else
            static_cast<float*>(planes)[to] = value;
    }
}

// Planes (N, channels, area) to pixels (N, area, colors): clamped, halves rounded to even. RGB
// becomes gray with the luma weights of BT.601. finite[image] becomes 0 if a value is not finite.
extern "C" __global__ void pixels_from_planes(
    const void* planes, void* pixels, unsigned char* finite,
    int area, int colors, int channels, int wide, int half)
{
    const size_t pixel = size_t(blockIdx.x) * blockDim.x + threadIdx.x, image = blockIdx.y;
    if (pixel >= size_t(area))
        return;
    float values[3];
#pragma unroll
    for (int channel = 0; channel < 3; ++channel) {  // unrolled, the values stay in registers
        if (channel >= channels)
            break;
        const size_t from = (image * channels + channel) * area + pixel;
        values[channel] = half ? __half2float(static_cast<const __half*>(planes)[from])
                               : static_cast<const float*>(planes)[from];
        if (!isfinite(values[channel]))
            finite[image] = 0;
    }
    if (colors < channels)
        values[0] = 0.299f * values[0] + 0.587f * values[1] + 0.114f * values[2];
    const float white = wide ? 65535.0f : 255.0f;
#pragma unroll
    for (int color = 0; color < 3; ++color) {
        if (color >= colors)
            break;
        const float value = fminf(fmaxf(rintf(values[color] * white), 0.0f), white);
        const size_t to = (image * area + pixel) * colors + color;
        if (wide)
            static_cast<unsigned short*>(pixels)[to] = static_cast<unsigned short>(value);
        else
            static_cast<unsigned char*>(pixels)[to] = static_cast<unsigned char>(value);
    }
}
