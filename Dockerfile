# Three images: operator, gateway (neither has torch) and stage. Built with docker, podman or buildah: `make images`.
#
# Layers from what changes least to what changes most: the base, third-party packages (by the pins in constraints.txt),
# torch and what belongs to it (stage only), this distribution. pip stays in a stage of its own that does not ship; what
# is installed without it lies in /opt/omnipipe, a virtual environment that reads our own code from /opt/omnipipe/app.
#
#   BASE         any image with Python 3.11 or later and its venv module
#   STAGE_EXTRA  what the stage image has on top. stage: the extra of pyproject.toml. hub: what fetches models alone, no
#                torch; such an image runs families without models, and the Jobs that fetch them
#   KERNELS      prebuilt: the stage image has the engine's C++ kernels for CPUs, one library for each level of processors.
#                They need g++ while the image is built; a base without it has to have apt-get. none: without them a
#                stage on a CPU computes in plain torch, slower, unless it finds a g++ where it runs
ARG BASE=docker.io/library/python:3.11-slim

FROM ${BASE} AS tools
RUN ["python3", "-m", "venv", "/opt/tools"]
WORKDIR /build
COPY pyproject.toml constraints.txt scripts/requirements.py ./
# Each file changes only when its own requirements do, and with it the layer that is made from it.
RUN mkdir requirements scripts && mv requirements.py scripts/ \
 && cp constraints.txt requirements/ \
 && python3 scripts/requirements.py > requirements/base.txt \
 && python3 scripts/requirements.py operator > requirements/operator.txt \
 && python3 scripts/requirements.py gateway > requirements/gateway.txt \
 && python3 scripts/requirements.py stage > requirements/stage.txt \
 && grep -i "^torch" requirements/stage.txt > requirements/torch.txt \
 && grep -i "^huggingface" requirements/stage.txt > requirements/hub.txt

# Our own code, as the installed wheel.
FROM tools AS app
COPY README.md LICENSE ./
COPY runtime runtime
COPY operator operator
RUN PIP_CONSTRAINT=constraints.txt /opt/tools/bin/python -m pip wheel --no-cache-dir --no-deps --wheel-dir /wheels . \
 && /opt/tools/bin/python -m pip install --no-cache-dir --no-deps --no-index --target /app /wheels/*.whl \
 && sed -i "1s:.*:#!/opt/omnipipe/bin/python:" /app/bin/*

FROM ${BASE} AS packages
# Some libraries ask for the user's name; USER answers when a cluster gives the pod another number.
RUN echo "omnipipe:x:65532:65532:omnipipe:/tmp:/usr/sbin/nologin" >> /etc/passwd && echo "omnipipe:x:65532:" >> /etc/group
ENV USER=omnipipe
RUN ["python3", "-m", "venv", "--without-pip", "/opt/omnipipe"]
RUN echo /opt/omnipipe/app > "$(/opt/omnipipe/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/app.pth"
COPY --from=tools /build/requirements/base.txt /build/requirements/constraints.txt /opt/omnipipe/requirements/
RUN --mount=type=bind,from=tools,source=/opt/tools,target=/opt/tools \
    /opt/tools/bin/python -m pip --python /opt/omnipipe/bin/python install --no-cache-dir \
      -c /opt/omnipipe/requirements/constraints.txt -r /opt/omnipipe/requirements/base.txt
ENV PATH=/opt/omnipipe/app/bin:/opt/omnipipe/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp
WORKDIR /tmp

FROM packages AS operator
COPY --from=tools /build/requirements/operator.txt /opt/omnipipe/requirements/
RUN --mount=type=bind,from=tools,source=/opt/tools,target=/opt/tools \
    /opt/tools/bin/python -m pip --python /opt/omnipipe/bin/python install --no-cache-dir \
      -c /opt/omnipipe/requirements/constraints.txt -r /opt/omnipipe/requirements/operator.txt
COPY --from=app /app /opt/omnipipe/app
USER 65532:65532
ENTRYPOINT ["/opt/omnipipe/bin/python", "-m", "omnipipe_operator"]
ARG VERSION=0.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Omnipipe operator" \
      org.opencontainers.image.description="Turns OmniPipeline objects into Deployments, Services and what belongs to them" \
      org.opencontainers.image.url="https://omnipipe.dev" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

FROM packages AS gateway
COPY --from=tools /build/requirements/gateway.txt /opt/omnipipe/requirements/
RUN --mount=type=bind,from=tools,source=/opt/tools,target=/opt/tools \
    /opt/tools/bin/python -m pip --python /opt/omnipipe/bin/python install --no-cache-dir \
      -c /opt/omnipipe/requirements/constraints.txt -r /opt/omnipipe/requirements/gateway.txt
COPY --from=app /app /opt/omnipipe/app
USER 65532:65532
EXPOSE 8000
ENTRYPOINT ["/opt/omnipipe/bin/python", "-m", "omnipipe"]
CMD ["gateway", "--help"]
ARG VERSION=0.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Omnipipe gateway" \
      org.opencontainers.image.description="The OpenAI-compatible front of a pipeline" \
      org.opencontainers.image.url="https://omnipipe.dev" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

FROM packages AS torch
ARG STAGE_EXTRA=stage
COPY --from=tools /build/requirements/torch.txt /opt/omnipipe/requirements/
RUN --mount=type=bind,from=tools,source=/opt/tools,target=/opt/tools \
    test "${STAGE_EXTRA}" != stage || /opt/tools/bin/python -m pip --python /opt/omnipipe/bin/python install --no-cache-dir \
      -c /opt/omnipipe/requirements/constraints.txt -r /opt/omnipipe/requirements/torch.txt

# Only the sources and what builds them: no other change of our code builds them anew.
FROM torch AS kernels
ARG STAGE_EXTRA=stage
ARG KERNELS=prebuilt
RUN mkdir /kernels
RUN test "${STAGE_EXTRA}-${KERNELS}" != stage-prebuilt || command -v g++ > /dev/null \
 || { apt-get update && apt-get install --yes --no-install-recommends g++; }
COPY runtime/omnipipe/engines/kernels/*.cpp runtime/omnipipe/engines/kernels/*.h \
     runtime/omnipipe/engines/kernels/library.py /build/
RUN test "${STAGE_EXTRA}-${KERNELS}" != stage-prebuilt || /opt/omnipipe/bin/python /build/library.py /kernels

FROM torch AS stage
ARG STAGE_EXTRA=stage
COPY --from=tools /build/requirements/stage.txt /build/requirements/hub.txt /opt/omnipipe/requirements/
RUN --mount=type=bind,from=tools,source=/opt/tools,target=/opt/tools \
    /opt/tools/bin/python -m pip --python /opt/omnipipe/bin/python install --no-cache-dir \
      -c /opt/omnipipe/requirements/constraints.txt -r "/opt/omnipipe/requirements/${STAGE_EXTRA}.txt"
COPY --from=kernels /kernels /opt/omnipipe/share/omnipipe/kernels
COPY --from=app /app /opt/omnipipe/app
USER 65532:65532
EXPOSE 5600 9000
ENTRYPOINT ["/opt/omnipipe/bin/python", "-m", "omnipipe"]
CMD ["stage", "--help"]
ARG VERSION=0.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Omnipipe stage" \
      org.opencontainers.image.description="One step of a pipeline, with its engine" \
      org.opencontainers.image.url="https://omnipipe.dev" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
