"""Tests against the running app (APP_URL) and its database."""

import json
import os
import unittest
import urllib.error
import urllib.request
import uuid

from books import store

URL = os.environ.get("APP_URL", "http://127.0.0.1:8000")


def call(path, body=None):
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(URL + path, data), timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


class Reading(unittest.TestCase):
    def test_health_names_the_server(self):
        status, body = call("/health")
        self.assertEqual(status, 200)
        self.assertTrue(body["server"].startswith("PostgreSQL 15."), body)

    def test_settings_of_the_server_come_from_the_mounted_file(self):
        self.assertEqual(call("/health")[1]["max_connections"], 40)

    def test_name_comes_from_the_mounted_file(self):
        self.assertEqual(call("/")[1]["library"], "Reading room")

    def test_unknown_page(self):
        self.assertEqual(call("/nothing")[0], 404)


class Writing(unittest.TestCase):
    def setUp(self):
        self.title = f"Test {uuid.uuid4()}"
        self.addCleanup(self.remove)

    def remove(self):
        with store.cursor() as cur:
            cur.execute("delete from books where title = %s", (self.title,))

    def test_added_book_is_listed(self):
        status, book = call("/books", {"title": self.title})
        self.assertEqual(status, 201)
        self.assertIn(book, call("/books")[1])

    def test_same_title_twice_is_a_conflict(self):
        self.assertEqual(call("/books", {"title": self.title})[0], 201)
        self.assertEqual(call("/books", {"title": self.title})[0], 409)

    def test_validation_empty_title(self):
        self.assertEqual(call("/books", {"title": "  "})[0], 400)

    def test_validation_no_title(self):
        self.assertEqual(call("/books", {"name": "x"})[0], 400)


@unittest.skipUnless(os.environ.get("FAIL"), "only to see a failure: run -e FAIL=1")
class Failing(unittest.TestCase):
    def test_failure_on_demand(self):
        self.fail("as you asked")
