# syntax=docker/dockerfile:1
# The pipeline on the cores. Build from the repository's root:
#   docker build -f docker/cpu.Dockerfile -t reconstruction-pipeline:cpu .
# Behind a mirror, or without a registry: --build-arg BASE=… (any Debian 12 with Python 3.11 and pip).
ARG BASE=python:3.11.14-slim-bookworm

FROM ${BASE} AS dependencies
# For packages of another index than PyPI's, such as one with torch for the CPU alone.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
RUN python3 -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /src
COPY constraints.txt ./
# torch first and alone: the largest layer, which no change of ours touches.
RUN pip install ${TORCH_INDEX:+--extra-index-url ${TORCH_INDEX}} -c constraints.txt torch
# Everything else that the project needs, for an empty package in its place: changes of code come after this layer.
COPY pyproject.toml ./
COPY reconstruction_pipeline/__init__.py ./reconstruction_pipeline/
RUN touch README.md LICENSE THIRD_PARTY_NOTICES.md dagster.yaml workspace.yaml \
 && pip install -c constraints.txt '.[deploy,depth]' && pip uninstall -y reconstruction-pipeline

FROM dependencies AS package
COPY . .
RUN pip install --no-deps --prefix /opt/package . \
 && cd / && PYTHONPATH=$(echo /opt/package/lib/python3*/site-packages) python -m reconstruction_pipeline.viewer.install

FROM ${BASE}
# What open3d and numba link to.
RUN apt-get update \
 && apt-get install -y --no-install-recommends libegl1 libgl1 libgomp1 libusb-1.0-0 libx11-6 tini \
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
    PYTHONUNBUFFERED=1 \
    RECONSTRUCTION_SCRATCH=/data/scratch \
    RECONSTRUCTION_STORAGE=/data/storage \
    RECONSTRUCTION_UPLOADS=/data/uploads
# Runs start containers, for which they need the group of the host's Docker socket.
ARG DOCKER_GID=999
RUN sed -i "s/DOCKER_GID/${DOCKER_GID}/" /data/home/dagster.yaml
USER 10001
WORKDIR /data/home
# Kernels for the builder's processor; another kind compiles its own once, into the same folder.
RUN python -m reconstruction_pipeline.warmup && reconstruct doctor --strict --for cpu
EXPOSE 4000
# tini passes signals on and collects what a killed stage leaves behind.
ENTRYPOINT ["tini", "--"]
CMD ["dagster", "code-server", "start", "-h", "0.0.0.0", "-p", "4000", "-m", "reconstruction_pipeline.definitions"]
# Of the code server; asked without importing Dagster, which would cost a second of a core each time.
HEALTHCHECK --interval=30s --timeout=20s --start-period=60s --retries=4 \
  CMD ["python", "-c", "from grpc import insecure_channel as to; from grpc_health.v1 import health_pb2 as p, health_pb2_grpc as g; raise SystemExit(g.HealthStub(to('127.0.0.1:4000')).Check(p.HealthCheckRequest(service='DagsterApi'), timeout=15).status != 1)"]
