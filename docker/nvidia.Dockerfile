# sr-toolkit on NVIDIA GPUs, by ONNX Runtime. In a clone, on a machine with the NVIDIA Container Toolkit:
#
#     docker build --tag sr-toolkit:nvidia --file docker/nvidia.Dockerfile .
#     docker run --rm --gpus all --user "$(id -u):$(id -g)" --volume "$PWD:/photos" \
#         sr-toolkit:nvidia upscale photo.jpg
#
# The driver comes from the host, and CUDA and cuDNN come with the wheels, so the base is a plain
# Python. Add the extra `tensorrt` or `rtx` below for TensorRT. It builds engines on first use and keeps
# them in SR_CACHE: mount a volume there. Not yet built, and not run on a GPU.

FROM python:3.13-slim-trixie AS build
WORKDIR /source
COPY . .
RUN python -m pip wheel --no-cache-dir --no-deps --wheel-dir /dist .

FROM python:3.13-slim-trixie
RUN --mount=type=bind,from=build,source=/dist,target=/dist \
    --mount=type=bind,source=constraints.txt,target=/constraints.txt \
    python -m pip install --no-cache-dir --constraint /constraints.txt "$(echo /dist/*.whl)[gpu,vips]"

# The parts of the driver that the container toolkit passes on.
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    SR_CACHE=/tmp/sr-toolkit
RUN useradd --create-home --uid 1000 photographer
USER 1000:1000
WORKDIR /photos
VOLUME /photos
ENTRYPOINT ["sr-upscale"]
CMD ["--help"]
