# PostgreSQL of Debian 12 behind the variables that docker/compose.yaml gives the official image, for tests where no
# registry can be reached. From the repository's root, with any Debian 12 as the base:
#   docker build -f reconstruction_pipeline_tests/orchestration/composed/postgres.Dockerfile \
#     --build-arg BASE=your/debian:12 -t postgres:debian reconstruction_pipeline_tests/orchestration/composed
ARG BASE=debian:bookworm-slim
FROM ${BASE}
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends postgresql-15 \
 && rm -rf /var/lib/apt/lists/* \
 && install -d -m 0700 -o postgres -g postgres /var/lib/postgresql/data
COPY postgres.sh /usr/local/bin/
ENV PATH=/usr/lib/postgresql/15/bin:$PATH
USER postgres
CMD ["sh", "/usr/local/bin/postgres.sh"]
