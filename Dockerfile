# A small image that runs applications. `make image` builds it without Docker, and measures it; see docs/device.md.
#
#   docker build --tag purista-fast .                          from the wheels in dist/, or from PyPI without them
#   docker run --volume state:/state purista-fast              the demo
#   docker run --volume ./greenhouse.py:/app/greenhouse.py:ro --volume state:/state purista-fast run greenhouse:app
#
# BASE is any Debian from 12 on, with its own Python 3.11 or newer: no compiler is needed, and none is in it.
ARG BASE=debian:trixie-slim

FROM ${BASE} AS build
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends python3-venv
# A wheel in dist/ is taken if there is one, and one in dist/wheelhouse/ for 32-bit ARM; the [t] lets there be none.
COPY pyproject.toml dis[t] /dist/
ARG PACKAGE=purista-fast
# 1: nothing but what is in dist/, dependencies included.
ARG PIP_NO_INDEX=
RUN python3 -m venv /tmp/pip \
    && python3 -m venv --without-pip /opt/purista-fast \
    && /tmp/pip/bin/pip --python /opt/purista-fast/bin/python install --no-cache-dir --only-binary=:all: \
       --find-links /dist --find-links /dist/wheelhouse "${PACKAGE}"

FROM ${BASE}
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends ca-certificates python3 \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/* /var/cache/debconf/*-old \
    && useradd --uid 10001 --no-create-home --home-dir /state --shell /usr/sbin/nologin purista \
    && install --directory --owner=purista --mode=0700 /state
COPY --from=build /opt/purista-fast /opt/purista-fast
ENV PATH=/opt/purista-fast/bin:/usr/bin:/bin \
    LANG=C.UTF-8 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    STATE_DIRECTORY=/state
WORKDIR /app
VOLUME /state
USER 10001
ENTRYPOINT ["purista-fast"]
CMD ["demo"]
