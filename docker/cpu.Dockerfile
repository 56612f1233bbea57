# sr-toolkit on a CPU. In a clone:
#
#     docker build --tag sr-toolkit --file docker/cpu.Dockerfile .
#     docker run --rm --user "$(id -u):$(id -g)" --volume "$PWD:/photos" sr-toolkit upscale photo.jpg
#
# Results belong to the user that --user names. Add the extra `formats` below for HEIC and JPEG XL;
# one of its packages is licensed under the GPL. Not yet built: no container tool was at hand.

FROM python:3.13-slim-trixie AS build
WORKDIR /source
COPY . .
RUN python -m pip wheel --no-cache-dir --no-deps --wheel-dir /dist .

FROM python:3.13-slim-trixie
RUN --mount=type=bind,from=build,source=/dist,target=/dist \
    --mount=type=bind,source=constraints.txt,target=/constraints.txt \
    python -m pip install --no-cache-dir --constraint /constraints.txt "$(echo /dist/*.whl)[cpu,vips]"

# What is measured about other people's models is kept here; it must belong to whoever runs it.
ENV SR_CACHE=/tmp/sr-toolkit
RUN useradd --create-home --uid 1000 photographer
USER 1000:1000
WORKDIR /photos
VOLUME /photos
ENTRYPOINT ["sr-upscale"]
CMD ["--help"]
