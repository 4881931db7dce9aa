#!/bin/sh
# Makes a database cluster in an empty volume, then becomes the server, as user postgres.
set -eu

if [ "$(id -u)" = 0 ]; then
    install -d -o postgres -g postgres -m 700 "$(dirname "$PGDATA")"
    install -d -o postgres -g postgres -m 775 /var/run/postgresql
    exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi

if [ "${1:-}" = postgres ] && [ ! -e "$PGDATA/PG_VERSION" ]; then
    : "${POSTGRES_USER:?is not set}" "${POSTGRES_PASSWORD:?is not set}" "${POSTGRES_DB:=$POSTGRES_USER}"
    # Everything happens in a folder beside the final one, which gets its name last: whoever interrupts this leaves nothing
    # that looks like a cluster. The single-user mode needs no server, so nobody can meet one that isn't ready.
    new=$PGDATA.new
    rm -rf "$new"
    printf '%s\n' "$POSTGRES_PASSWORD" > /tmp/password
    initdb --pgdata="$new" --username="$POSTGRES_USER" --pwfile=/tmp/password \
        --encoding=UTF8 --locale=C.UTF-8 --auth-local=trust --auth-host=scram-sha-256
    rm /tmp/password
    {
        echo "listen_addresses = '*'"
        echo "include_dir '/etc/postgresql/conf.d'"
    } >> "$new/postgresql.conf"
    echo "host all all all scram-sha-256" >> "$new/pg_hba.conf"
    if [ "$POSTGRES_DB" != postgres ]; then
        echo "CREATE DATABASE \"$POSTGRES_DB\"" | postgres --single -D "$new" postgres > /dev/null
    fi
    mv "$new" "$PGDATA"
    echo "entrypoint: made database $POSTGRES_DB for user $POSTGRES_USER"
fi

exec "$@"
