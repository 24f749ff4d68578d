# syntax=docker/dockerfile:1
# The pipeline with gsplat's CUDA kernels, compiled here for the cards named below. Needs no GPU to build:
#   docker build -f docker/cuda.Dockerfile -t reconstruction-pipeline:cuda .
ARG CUDA=12.8.1
ARG SYSTEM=ubuntu24.04

FROM nvidia/cuda:${CUDA}-devel-${SYSTEM} AS dependencies
# V100, T4, A100, A10 and RTX 30, L4 and RTX 40, H100; PTX of the last for newer ones.
ARG TORCH_CUDA_ARCH_LIST="7.0 7.5 8.0 8.6 8.9 9.0+PTX"
ARG TORCH_INDEX=https://download.pytorch.org/whl/cu128
ARG MAX_JOBS=4
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore DEBIAN_FRONTEND=noninteractive
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3 python3-venv python3-dev g++ git \
 && rm -rf /var/lib/apt/lists/* \
 && python3 -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /src
COPY constraints.txt ./
RUN pip install --index-url ${TORCH_INDEX} --extra-index-url https://pypi.org/simple -c constraints.txt torch
# From source, as its wheel on PyPI carries no kernels; a layer of its own, as it takes long.
RUN pip install -c constraints.txt setuptools wheel ninja \
 && TORCH_CUDA_ARCH_LIST="${TORCH_CUDA_ARCH_LIST}" MAX_JOBS=${MAX_JOBS} \
    pip install --no-build-isolation --no-binary gsplat -c constraints.txt gsplat
# Everything else that the project needs, for an empty package in its place: changes of code come after this layer.
COPY pyproject.toml ./
COPY reconstruction_pipeline/__init__.py ./reconstruction_pipeline/
RUN touch README.md LICENSE THIRD_PARTY_NOTICES.md dagster.yaml workspace.yaml \
 && pip install -c constraints.txt '.[deploy,depth]' && pip uninstall -y reconstruction-pipeline

FROM dependencies AS package
COPY . .
RUN pip install --no-deps --prefix /opt/package . \
 && cd / && PYTHONPATH=$(echo /opt/package/lib/python3*/site-packages) python -m reconstruction_pipeline.viewer.install

# The runtime libraries of CUDA come with torch's wheels; the driver's come from the host.
FROM nvidia/cuda:${CUDA}-base-${SYSTEM}
ENV DEBIAN_FRONTEND=noninteractive
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3 libegl1 libgl1 libgomp1 libusb-1.0-0 libx11-6 tini \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --create-home --shell /usr/sbin/nologin reconstruction \
 && install -d -o reconstruction -g reconstruction /data /data/storage /data/uploads /data/scratch /data/home /var/cache/numba
COPY --from=dependencies /opt/venv /opt/venv
COPY --from=package /opt/package /opt/venv
COPY --chown=reconstruction:reconstruction docker/dagster.yaml docker/workspace.yaml docker/profiles*.yaml /data/home/
ENV PATH=/opt/venv/bin:$PATH \
    DAGSTER_HOME=/data/home \
    DAGSTER_DISABLE_TELEMETRY=1 \
    NUMBA_CACHE_DIR=/var/cache/numba \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    PYTHONUNBUFFERED=1 \
    RECONSTRUCTION_SCRATCH=/data/scratch \
    RECONSTRUCTION_STORAGE=/data/storage \
    RECONSTRUCTION_UPLOADS=/data/uploads
# Runs start containers, for which they need the group of the host's Docker socket.
ARG DOCKER_GID=999
RUN sed -i "s/DOCKER_GID/${DOCKER_GID}/" /data/home/dagster.yaml
USER 10001
WORKDIR /data/home
# Parts are checked, not devices: an image with a missing part is never made.
RUN python -m reconstruction_pipeline.warmup && reconstruct doctor --strict --for cuda
EXPOSE 4000
ENTRYPOINT ["tini", "--"]
CMD ["dagster", "code-server", "start", "-h", "0.0.0.0", "-p", "4000", "-m", "reconstruction_pipeline.definitions"]
# Of the code server; asked without importing Dagster, which would cost a second of a core each time.
HEALTHCHECK --interval=30s --timeout=20s --start-period=60s --retries=4 \
  CMD ["python", "-c", "from grpc import insecure_channel as to; from grpc_health.v1 import health_pb2 as p, health_pb2_grpc as g; raise SystemExit(g.HealthStub(to('127.0.0.1:4000')).Check(p.HealthCheckRequest(service='DagsterApi'), timeout=15).status != 1)"]
