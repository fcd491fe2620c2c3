#!/bin/sh
# Makes the database on the first start; afterwards (also after a kill) the server finds it and recovers by itself.
set -eu
bin=/usr/lib/postgresql/15/bin
data=/var/lib/postgresql/15/data
user=${POSTGRES_USER:-courier}
if [ ! -f "$data/ready" ]; then
    rm -rf "$data"
    printf '%s' "${POSTGRES_PASSWORD:?POSTGRES_PASSWORD is not set}" > /tmp/password
    "$bin/initdb" -D "$data" -U "$user" --pwfile=/tmp/password --auth-host=scram-sha-256 --auth-local=trust -E UTF8 --locale=C.UTF-8 >/dev/null
    rm /tmp/password
    echo "host all all all scram-sha-256" >> "$data/pg_hba.conf"
    "$bin/pg_ctl" -D "$data" -w -o "-c listen_addresses=''" start >/dev/null
    [ "${POSTGRES_DB:-$user}" = postgres ] || "$bin/createdb" -h /var/run/postgresql -U "$user" "${POSTGRES_DB:-$user}"
    "$bin/pg_ctl" -D "$data" -w -m fast stop >/dev/null
    touch "$data/ready"
fi
rm -f "$data/postmaster.pid"   # a killed server leaves it; this container's is the only server on this data
# A client that vanished without a word is given up after about ten seconds, not after two hours.
exec "$bin/postgres" -D "$data" -c "listen_addresses=*" -c tcp_keepalives_idle=4 -c tcp_keepalives_interval=2 \
    -c tcp_keepalives_count=3 -c tcp_user_timeout=10000 -c "max_connections=${POSTGRES_MAX_CONNECTIONS:-50}" -c shared_buffers=32MB
