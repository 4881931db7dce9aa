# What is looked at in the guest: a project with a build, limits, a health check, mounts of images, and what is left of it.
set -u
failed=0
is() { # WHAT WANTED GOT
    if [ "$2" = "$3" ]; then echo "guest: ok: $1"; else echo "guest: FAILED: $1: $3, not $2"; failed=1; fi
}
echo "guest: Linux $(uname -r)"
links() { ip -o link | grep -vc ' lo\| dummy'; }
cgroups() { find /sys/fs/cgroup -type d | wc -l; }
before="$(links) $(cgroups) $(wc -l < /proc/mounts)"

rcompose image import /busybox.tar busybox:latest > /dev/null
mkdir -p /p && cd /p
cat > compose.yaml <<'C'
services:
  web:
    image: busybox:latest
    command: [sh, -c, 'trap "exit 0" TERM; echo up; while :; do sleep 1; done']
    mem_limit: 64m
    cpus: 0.5
    pids_limit: 50
    restart: unless-stopped
    ports: ['8080:80']
    healthcheck: {test: [CMD, test, -e, /data], interval: 1s, start_period: 60s}
    volumes: [data:/data]
  other:
    image: busybox:latest
    command: [sh, -c, 'nslookup web | grep -c Name; sleep 1000']
    init: true
    depends_on: {web: {condition: service_healthy}}
    volumes: [{type: image, source: built, target: /built}]
  built:
    image: built
    build:
      dockerfile_inline: |
        FROM busybox:latest
        RUN echo one > /one && mkdir /d && touch /d/a
        RUN --mount=type=bind,target=/context,rw touch /context/new && rm /one && echo two > /two
        COPY compose.yaml /d/
    command: [sleep, '1000']
    init: true
volumes: {data: }
C
rcompose --progress plain up -d
is "up" 0 $?
is "containers that run" 3 "$(rcompose ps -q --status running | wc -l)"
is "health" healthy "$(rcompose ps web --format '{{.Health}}')"
is "memory limit" 67108864 "$(rcompose exec -T web cat /sys/fs/cgroup/memory.max)"
is "CPU limit" "50000 100000" "$(rcompose exec -T web cat /sys/fs/cgroup/cpu.max)"
is "process limit" 50 "$(rcompose exec -T web cat /sys/fs/cgroup/pids.max)"
is "own cgroup" 0::/ "$(rcompose exec -T web cat /proc/self/cgroup)"
is "names" 1 "$(rcompose logs --no-log-prefix other | head -1)"
is "built files" "compose.yaml two" "$(rcompose exec -T built sh -c 'ls /d | grep compose; ls / | grep -e one -e two' | xargs)"
is "a mounted image" "a compose.yaml" "$(rcompose exec -T other ls /built/d | xargs)"
rcompose exec -T other touch /built/d/new 2> /dev/null
is "is read-only" 1 $?
rcompose exec -T web touch /data/kept
rcompose pause web 2> /dev/null
is "paused" paused "$(rcompose ps -a web --format '{{.State}}')"
rcompose unpause web 2> /dev/null
rcompose exec -T web kill 1
tries=0
until [ "$(rcompose logs --no-log-prefix web | grep -c up)" = 2 ] || [ $tries -gt 60 ]; do sleep 1; tries=$((tries + 1)); done
is "comes back" kept "$(rcompose exec -T web ls /data)"
is "run" 42 "$(rcompose run --rm -T --no-deps other sh -c 'echo 42')"
cat > Limits <<'C'
FROM busybox:latest
RUN cd /sys/fs/cgroup && cat memory.max cpu.max cpuset.cpus > /limits
FROM scratch
COPY --from=0 /limits /
C
rcompose image build -q -f Limits -o out --cgroup-parent x/y -m 64m --resource cpu-quota=50000 --resource cpuset-cpus=0 . > /dev/null
is "limits of RUN" "67108864 50000 100000 0" "$(xargs < out/limits)"
rcompose --progress plain down -v -t 1
is "down" 0 $?
is "links, cgroups and mounts as before" "$before" "$(links) $(cgroups) $(wc -l < /proc/mounts)"
exit $failed
