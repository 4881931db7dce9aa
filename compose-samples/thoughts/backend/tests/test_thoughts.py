import os
import unittest
import uuid

from thoughts.store import Store
from thoughts.thought import LONGEST, Invalid, Thought


class Validation(unittest.TestCase):
    def test_validation_good(self):
        self.assertEqual(Thought.parse({"author": " ada ", "text": "Engines compute."}), Thought("ada", "Engines compute."))

    def test_validation_author_is_needed(self):
        with self.assertRaisesRegex(Invalid, "author"):
            Thought.parse({"text": "Who?"})

    def test_validation_text_is_needed(self):
        with self.assertRaisesRegex(Invalid, "text"):
            Thought.parse({"author": "ada", "text": "  "})

    def test_validation_too_long(self):
        Thought.parse({"author": "ada", "text": "x" * LONGEST})
        with self.assertRaisesRegex(Invalid, "281"):
            Thought.parse({"author": "ada", "text": "x" * (LONGEST + 1)})

    def test_validation_not_an_object(self):
        with self.assertRaises(Invalid):
            Thought.parse(["ada", "text"])


class Storage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.store = Store(os.environ["THOUGHTS_STORE"])
        print("store:", type(cls.store.kind).__name__)

    def setUp(self):
        self.author = uuid.uuid4().hex
        self.addCleanup(self.store.forget, self.author)

    def test_what_was_kept_is_found(self):
        key = self.store.add(Thought(self.author, "Grüße, ☕ and 'quotes'"))
        self.assertEqual(tuple(self.store.get(key)), (self.author, "Grüße, ☕ and 'quotes'"))

    def test_unknown(self):
        self.assertIsNone(self.store.get(10**9))

    def test_in_order(self):
        keys = [self.store.add(Thought(self.author, f"thought {i}")) for i in range(20)]
        self.assertEqual([key for key, _ in self.store.by(self.author)], keys)


class Environment(unittest.TestCase):
    def test_runs_without_privileges(self):
        self.assertNotEqual(os.getuid(), 0)
        self.assertEqual(os.path.realpath("."), "/srv/thoughts")
        import thoughts

        self.assertEqual(os.stat(thoughts.__file__).st_uid, os.getuid())
