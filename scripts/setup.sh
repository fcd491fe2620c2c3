#!/usr/bin/env bash
# Everything that `make demo` and `make test` need, made if it is not there: the virtual environment with locked
# dependencies, a Docker engine, the base image. Safe to run again; quick when nothing is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { echo "setup: $*" >&2; }
give_up() { say "$*"; exit 4; }
is_root_debian() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

install_packages() {
    is_root_debian || give_up "needed: $* (as root on Debian or Ubuntu this script installs it)"
    say "installing $*"
    # A list of packages that is hours old may name versions that are gone.
    DEBIAN_FRONTEND=noninteractive apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >&2
}

make_venv() {
    local python=${PYTHON:-python3} stamp=.venv/.locked wanted
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || give_up "Python 3.11 or newer is needed"
    wanted=$(cat requirements.lock pyproject.toml | sha256sum)
    [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && return
    "$python" -c 'import ensurepip, venv' 2>/dev/null || install_packages python3-venv
    say "making .venv with locked dependencies"
    # uv lives in a small environment of its own, so that it works where pip may not install into the system's Python.
    if [ ! -x .venv/uv/bin/uv ]; then
        rm -rf .venv && mkdir .venv
        "$python" -m venv .venv/uv
        .venv/uv/bin/pip install -q --disable-pip-version-check uv
    fi
    local uv=$PWD/.venv/uv/bin/uv
    [ -x .venv/bin/python ] || "$uv" venv -q --python "$python" --allow-existing .venv
    "$uv" pip sync -q --python .venv --require-hashes requirements.lock
    "$uv" pip install -q --python .venv --no-deps --no-build-isolation -e .
    echo "$wanted" > "$stamp"
}

engine_answers() { .venv/bin/python -c 'import docker; docker.from_env(timeout=10).ping()' 2>/dev/null; }

start_engine() {
    engine_answers && return
    [ -z "${DOCKER_HOST:-}" ] || give_up "no Docker engine answers at DOCKER_HOST=$DOCKER_HOST"
    [ "$(uname -s)" = Linux ] || give_up "no Docker engine answers: start Docker Desktop (or Colima, OrbStack, …) and try again"
    [ "$(id -u)" = 0 ] || give_up "no Docker engine answers: start it, and add your user to the group docker; or run as root"
    command -v dockerd >/dev/null && command -v iptables >/dev/null || install_packages docker.io iptables
    if [ -d /run/systemd/system ]; then
        systemctl start docker || true
    else
        say "starting dockerd (its log: /var/log/dockerd.log)"
        rm -f /var/run/docker.pid
        setsid nohup dockerd --log-level warn >>/var/log/dockerd.log 2>&1 </dev/null &
    fi
    for _ in $(seq 60); do
        engine_answers && return
        sleep 0.5
    done
    tail -n 20 /var/log/dockerd.log >&2 || true
    give_up "the Docker engine did not start"
}

make_venv
start_engine
.venv/bin/python scripts/base_image.py
