# dfd serve for CPUs: docker build -t dfd . && export DFD_API_KEY=$(openssl rand -hex 32) && \
#   docker run --rm --read-only --tmpfs /tmp -p 127.0.0.1:8000:8000 -e DFD_API_KEY \
#   -v "$PWD/outputs/train/NAME/TIME/bundle:/bundle:ro" dfd
# docs/serving.md has the rest.

FROM python:3.11-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/dfd
ENV PATH=/opt/dfd/bin:$PATH
WORKDIR /src
# The packages change seldom, and come first; torch without CUDA, which is nine tenths of it.
COPY requirements.txt pyproject.toml ./
RUN grep -E '^(torch|torchvision)==' requirements.txt > torch.txt \
    && pip install --index-url https://download.pytorch.org/whl/cpu -r torch.txt \
    && sed '/^-e /d; /^# extra: /,$d' requirements.txt > packages.txt \
    && pip install -r packages.txt
COPY README.md LICENSE ./
COPY configs configs
COPY src src
RUN pip install --no-deps . \
    && pip uninstall --yes pip

FROM python:3.11-slim
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin dfd
COPY --from=build /opt/dfd /opt/dfd
# All that is written goes to /tmp, so that the root can be read-only.
ENV PATH=/opt/dfd/bin:$PATH HOME=/tmp MPLCONFIGDIR=/tmp/matplotlib HF_HUB_OFFLINE=1 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /tmp
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/v2/health/ready', timeout=2)"]
ENTRYPOINT ["dfd", "serve", "bundle=/bundle", "host=0.0.0.0", "port=8000", "hydra.run.dir=/tmp/dfd"]
