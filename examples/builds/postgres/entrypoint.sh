#!/bin/sh
set -e
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    initdb --auth=trust --username=postgres >/dev/null
    echo "host all all all trust" >> "$PGDATA/pg_hba.conf"
fi
exec "$@"
