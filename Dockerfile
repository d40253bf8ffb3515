# Image of the job: ingest and its locked packages, without build tools.
#
#   docker build --tag ingest .                              embeds with Azure OpenAI
#   docker build --tag ingest --build-arg EXTRAS=local .     with the local model
#   docker build --tag ingest --build-arg EXTRAS=ocr .       with local OCR, too
#   docker build --tag ingest --build-arg TELEMETRY=true .   with traces and metrics
#   docker run --entrypoint dask ingest worker tcp://…       a node of a cluster (docs/scale.md)
#   docker build --build-arg PYTHON_IMAGE=… .                with a base image from another registry
#
# It uses no BuildKit features, because a registry that builds images may lack BuildKit.

# The digest is that of the multi-platform index; docs/deploy.md explains how to update it.
ARG PYTHON_IMAGE=python:3.13.16-slim-trixie@sha256:70729b46c69b4f1e97c4822c1af3df53a1476cf5ddc6c087c0c10bc3a5678c2f


FROM ${PYTHON_IMAGE} AS build
ARG EXTRAS=
ARG TELEMETRY=
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY requirements/ requirements/
RUN case "$EXTRAS" in \
        "") lock=core ;; \
        local) lock=run ;; \
        ocr) lock=ocr ;; \
        *) echo "EXTRAS=$EXTRAS: expected local, ocr, or nothing" >&2; exit 2 ;; \
    esac \
    && set -- "$lock" dask \
    && case "$TELEMETRY" in \
        ""|false) ;; \
        true) set -- "$@" telemetry ;; \
        *) echo "TELEMETRY=$TELEMETRY: expected true, false, or nothing" >&2; exit 2 ;; \
    esac \
    && python -m venv /opt/build \
    && /opt/build/bin/pip install --require-hashes --only-binary :all: -r requirements/build.txt \
    && python -m venv --without-pip /opt/ingest \
    && /opt/build/bin/pip --python /opt/ingest/bin/python install \
        --require-hashes --only-binary :all: -r "requirements/$1.txt" -r "requirements/$2.txt" \
        ${3:+-r "requirements/$3.txt"} \
    && echo "$@" >/opt/locks
COPY pyproject.toml README.md LICENSE ./
COPY scripts/make_sbom.py ./
COPY ingest/ ingest/
# Bytecode that is not checked against its source works on a read-only file system, whatever the
# times of the files are after a copy between stages.
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheel . \
    && /opt/build/bin/pip --python /opt/ingest/bin/python install --no-deps --no-compile /wheel/*.whl \
    && xargs /opt/ingest/bin/python make_sbom.py </opt/locks >/opt/ingest/sbom.cdx.json \
    && /opt/ingest/bin/python -m compileall -q -f --invalidation-mode unchecked-hash /opt/ingest


# The last stage is built by default.
FROM ${PYTHON_IMAGE} AS ingest
LABEL org.opencontainers.image.title="ingest" \
      org.opencontainers.image.description="Keeps a search index in sync with a set of PDFs" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.base.name="python:3.13.16-slim-trixie"
COPY --from=build /opt/ingest /opt/ingest
ENV PATH=/opt/ingest/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 INGEST_LOG=json
# A number, so that a host that forbids root can see that it is not root.
USER 10001:10001
WORKDIR /work
# In exec form the command is process 1 and gets SIGTERM itself: it finishes work in progress and
# ends with 143. There is no HEALTHCHECK: a job is judged by its exit code, and ends.
ENTRYPOINT ["ingest"]
CMD ["run"]
