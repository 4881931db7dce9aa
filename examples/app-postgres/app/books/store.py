"""The books in PostgreSQL. Where the server is comes from PGHOST, PGUSER, PGPASSWORD, PGDATABASE, as libpq reads them."""

import contextlib

import psycopg2

SCHEMA = """
create table if not exists books (
    id serial primary key,
    title text not null unique check (title <> ''),
    added timestamptz not null default now()
)
"""


@contextlib.contextmanager
def cursor():
    """One transaction: committed at the end, rolled back by an exception."""
    connection = psycopg2.connect(connect_timeout=5)
    try:
        with connection, connection.cursor() as cur:
            yield cur
    finally:
        connection.close()


def prepare(titles):
    """Make the table and, if it is empty, put the first titles into it."""
    with cursor() as cur:
        cur.execute(SCHEMA)
        cur.execute("select count(*) from books")
        if cur.fetchone()[0] == 0:
            for title in titles:
                cur.execute("insert into books (title) values (%s)", (title,))


def server():
    with cursor() as cur:
        cur.execute("select current_setting('server_version'), current_setting('max_connections')")
        version, connections = cur.fetchone()
        return {"server": f"PostgreSQL {version.split()[0]}", "max_connections": int(connections)}


def books():
    with cursor() as cur:
        cur.execute("select id, title from books order by id")
        return [{"id": key, "title": title} for key, title in cur.fetchall()]


def add(title):
    """Add a book; ValueError if there is one of this title."""
    with cursor() as cur:
        cur.execute("insert into books (title) values (%s) on conflict do nothing returning id", (title,))
        row = cur.fetchone()
        if row is None:
            raise ValueError(f"there is a book {title!r} already")
        return {"id": row[0], "title": title}
