#!/usr/bin/env bash
# Everything that `make demo` and `make test` need, made if it is not there: the virtual environment with locked
# dependencies, a Docker engine, the base image. Safe to run again; quick when nothing is missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

ENGINE_LOG=${ENGINE_LOG:-/var/log/dockerd.log}

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

# The programs in .venv/bin name their Python by its full path, and die when the folder is moved.
venv_works() {
    [ ! -e .venv/.home ] || [ "$(cat .venv/.home)" = "$(pwd -P)" ] || return 1
    .venv/bin/python -c '' 2>/dev/null && .venv/uv/bin/uv --version >/dev/null 2>&1
}

make_venv() {
    local python=${PYTHON:-python3} stamp=.venv/.locked wanted
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || give_up "Python 3.11 or newer is needed"
    wanted=$(cat requirements.lock pyproject.toml | sha256sum)
    if venv_works; then
        [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && return
    elif [ -e .venv ]; then
        say "the Python of .venv does not run, or not from here: making it anew"
        rm -rf .venv
    fi
    "$python" -c 'import ensurepip, venv' 2>/dev/null || install_packages python3-venv
    say "making .venv with locked dependencies"
    # uv lives in a small environment of its own, so that it works where pip may not install into the system's Python.
    if [ ! -x .venv/uv/bin/uv ]; then
        rm -rf .venv && mkdir .venv
        "$python" -m venv .venv/uv
        .venv/uv/bin/pip install -q --disable-pip-version-check uv
    fi
    rm -f "$stamp" # what follows may be interrupted
    local uv=$PWD/.venv/uv/bin/uv
    [ -x .venv/bin/python ] || "$uv" venv -q --python "$python" --allow-existing .venv
    # Where PYTHONDONTWRITEBYTECODE is set, as in many images, every start would compile what it imports: seconds.
    "$uv" pip sync -q --python .venv --require-hashes --compile-bytecode requirements.lock
    "$uv" pip install -q --python .venv --no-deps --no-build-isolation -e .
    pwd -P > .venv/.home
    echo "$wanted" > "$stamp"
}

engine_answers() { .venv/bin/python -c 'import docker; docker.from_env(timeout=10).ping()' 2>/dev/null; }

# The process id of an engine of this user's, if one lives, whether it answers or not.
living_engine() {
    local name
    for name in /proc/[0-9]*/comm; do
        if [ -O "$name" ] && [ "$(cat "$name" 2>/dev/null)" = dockerd ]; then
            name=${name#/proc/}
            echo "${name%/comm}"
            return
        fi
    done
    return 1
}

wait_for_engine() {
    for _ in $(seq "${ENGINE_LOOKS:-60}"); do
        engine_answers && return
        sleep 0.5
    done
    return 1
}

start_engine() {
    local living
    engine_answers && return
    # "Does not answer" must come from the engine, never from a Python that cannot ask.
    .venv/bin/python -c 'import docker' || give_up "the Docker client in .venv does not load: remove .venv and try again"
    [ -z "${DOCKER_HOST:-}" ] || give_up "no Docker engine answers at DOCKER_HOST=$DOCKER_HOST"
    [ "$(uname -s)" = Linux ] || give_up "no Docker engine answers: start Docker Desktop (or Colima, OrbStack, …), set DOCKER_HOST if it listens elsewhere than /var/run/docker.sock, and try again"
    [ "$(id -u)" = 0 ] || give_up "no Docker engine answers: start it, and add your user to the group docker; or run as root"
    if living=$(living_engine); then
        # A second engine would take away the sockets of the first, and then end: nobody would have one.
        say "an engine runs (process $living) and does not answer yet: waiting for it"
        wait_for_engine || give_up "the Docker engine (process $living) does not answer: end it, and try again"
        return
    fi
    command -v dockerd >/dev/null && command -v iptables >/dev/null || install_packages docker.io iptables
    if [ -d /run/systemd/system ]; then
        systemctl start docker || true
    elif ! living_engine >/dev/null; then # the package's own scripts may have started it
        say "starting dockerd (its log: $ENGINE_LOG)"
        # Left by an engine that ended with its session. Their numbers may by now be those of other processes.
        rm -f /var/run/docker.pid /var/run/docker/containerd/containerd.pid
        setsid nohup dockerd --log-level warn >>"$ENGINE_LOG" 2>&1 </dev/null &
    fi
    wait_for_engine && return
    tail -n 20 "$ENGINE_LOG" >&2 || true
    give_up "the Docker engine did not start"
}

# For plans that take their services from a Compose file; everything else works without.
have_compose() {
    docker compose version >/dev/null 2>&1 || command -v docker-compose >/dev/null && return
    if is_root_debian; then
        install_packages docker-compose || say "docker-compose cannot be installed: tests of Compose projects are skipped"
    else
        say "no Compose tool is here: tests of Compose projects are skipped"
    fi
}

[ "${BASH_SOURCE[0]}" = "$0" ] || return 0 # a test reads the functions
make_venv
.venv/bin/python -m compileall -q shakedown flows tasks
start_engine
have_compose
.venv/bin/python scripts/base_image.py
