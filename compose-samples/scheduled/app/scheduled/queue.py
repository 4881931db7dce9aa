"""The queue in Redis: a sorted set of jobs by the time they are due, and a hash of results."""

import json
import os
import time
import uuid

import redis

SCHEMA = int(os.environ.get("SCHEMA", "3"))
# Takes the first job that is due, in one step, so that two workers never take the same.
TAKE = """
local due = redis.call('zrangebyscore', KEYS[1], '-inf', ARGV[1], 'limit', 0, 1)
if due[1] then redis.call('zrem', KEYS[1], due[1]) end
return due[1]
"""


class Queue:
    def __init__(self):
        self.redis = redis.Redis(
            host=os.environ.get("REDIS_HOST", "localhost"),
            port=int(os.environ.get("REDIS_PORT", "6379")),
            decode_responses=True,
        )
        self._take = self.redis.register_script(TAKE)

    def migrate(self):
        """Bring the stored data to SCHEMA, one version after the other; tells from where."""
        before = self.schema()
        for version in range(before + 1, SCHEMA + 1):
            self.redis.set("schema", version)
        return before

    def schema(self):
        return int(self.redis.get("schema") or 0)

    def put(self, text, seconds):
        key = uuid.uuid4().hex[:12]
        job = json.dumps({"id": key, "text": text})
        self.redis.zadd("jobs", {job: time.time() + seconds})
        return key

    def take(self):
        job = self._take(keys=["jobs"], args=[time.time()])
        return json.loads(job) if job else None

    def next_due(self):
        """Seconds until the next job is due, or None."""
        first = self.redis.zrange("jobs", 0, 0, withscores=True)
        return first[0][1] - time.time() if first else None

    def finish(self, key, result):
        self.redis.hset("results", key, json.dumps(result))

    def result(self, key):
        value = self.redis.hget("results", key)
        return json.loads(value) if value else None
