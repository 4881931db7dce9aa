"""Where thoughts are kept: SQLite or PostgreSQL, named by a URL."""

import contextlib
import sqlite3
import time
import urllib.parse

SCHEMA = "create table if not exists thoughts (id {key}, author text not null, text text not null)"


class Sqlite:
    mark = "?"

    def __init__(self, path):
        self.path = path
        self.schema = SCHEMA.format(key="integer primary key autoincrement")

    def connect(self):
        return contextlib.closing(sqlite3.connect(self.path))


class PostgreSQL:
    mark = "%s"

    def __init__(self, url):
        self.url = url
        self.schema = SCHEMA.format(key="serial primary key")

    def connect(self):
        # depends_on in its short form only says that the database has been started, not that it listens.
        import psycopg2

        end = time.monotonic() + 30
        while True:
            try:
                return contextlib.closing(psycopg2.connect(self.url, connect_timeout=5))
            except psycopg2.OperationalError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)


class Store:
    def __init__(self, url):
        scheme, _, path, *_ = urllib.parse.urlsplit(url)
        if scheme == "sqlite":
            self.kind = Sqlite(path)
        elif scheme == "postgresql":
            self.kind = PostgreSQL(url)
        else:
            raise ValueError(f"unknown kind of store: {scheme!r}")
        self._run(self.kind.schema)

    def _run(self, statement, values=()):
        with self.kind.connect() as connection:
            cursor = connection.cursor()
            cursor.execute(statement.replace("?", self.kind.mark), values)
            rows = cursor.fetchall() if cursor.description else []
            connection.commit()
            return rows

    def add(self, thought):
        rows = self._run(
            "insert into thoughts (author, text) values (?, ?) returning id", (thought.author, thought.text)
        )
        return rows[0][0]

    def get(self, key):
        rows = self._run("select author, text from thoughts where id = ?", (key,))
        return rows[0] if rows else None

    def by(self, author):
        return self._run("select id, text from thoughts where author = ? order by id", (author,))

    def forget(self, author):
        self._run("delete from thoughts where author = ?", (author,))
