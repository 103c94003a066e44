#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
check-mutants.py - change the library at random places, one at a time, and count the changes that the tests notice

Each worker has a copy of the sources and a build of its own. A mutant whose object file is the same as without the
change is replaced by another one, and so is one that does not compile. The steps of the mutant's room run in the order
of their cost, and so do the tests of each step, until one fails; the mutant is killed then. Time limits are limits of
processor time, measured on the unchanged sources. What hangs is ended when it has used no processor time for a while,
or at a limit of elapsed time, which is much larger.

tests/mutation/survivors lists mutants that no test can kill, each with the reason. `make check-mutants' runs this.
"""
import argparse
import collections
import concurrent.futures
import glob
import os
import queue
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import mutants  # noqa: E402

CPU_LEAST_S, CPU_FACTOR, HANG_FACTOR, POLL_S, IDLE_S = 20, 10, 12, 0.2, 20
DATA_BYTES_MAX, FILE_BYTES_MAX = 8 << 30, 1 << 30
CANDIDATES_LOCK = threading.Lock()

# The scenarios of tests/starvation/pools.c in which the filters are.
STARVED = {"guard": "guard+zbud", "fault": "fault+zsmalloc", "trace": "trace:file=/dev/null+zbud"}


class Room:
    """Sources that are changed, and the steps that test them: lists of programs, or the specs of a contract run."""

    def __init__(self, name, sources, steps):
        self.name, self.sources, self.steps = name, sources, steps


def contract(*specs):
    return ("contract", specs)


def starvation(program, *arguments):
    return ("starvation", (program, "--all") + arguments)


def all_rooms(drivers, filters):
    unit = "tests/unit/%s/*"
    loader = ["tests/loader/*"]
    core = [[unit % "core"], loader, ["tests/filters/*"], contract("zbud", "guard+zsmalloc", "fault+libc")]
    rooms = [
        Room("base", ["libzpool/base/*.c"], [[unit % "base"]] + core),
        Room("core", ["libzpool/core/*.c"], core),
        Room("loader", ["libzpool/loader/*.c"], [[unit % "loader"], loader, starvation("loader"), ["tests/tools/list.sh", "tests/tools/info.sh"]]),
        Room("support", ["libzpool/support/*.c", "libzpool/support/*.h"],
             [[unit % "support"], [unit % "plugins"], ["tests/filters/*"], contract("fault+zbud", *drivers),
              ["tests/limits/*"]]),
    ]
    for name in drivers:
        rooms.append(Room(name, ["plugins/%s/*.c" % name],
                          [["tests/unit/plugins/%s*" % name, "tests/unit/plugins/promises"], contract(name),
                           starvation("pools", "--scenario", name)]))
    for name in filters:
        # The trace filter writes a file, so it cannot keep all promises of a driver; stacks.sh has the cases that it can.
        stacks = ["tests/contract/stacks.sh"] if name == "trace" else contract(name + "+zbud", name + "+zsmalloc")
        rooms.append(Room(name, ["plugins/%s/*.c" % name],
                          [["tests/filters/*", "tests/unit/plugins/%s" % name], stacks,
                           starvation("pools", "--scenario", STARVED[name]),
                           ["tests/tools/replay.sh", "tests/tools/compared.sh"] if name == "trace" else []]))
    return rooms


class Failed(Exception):
    """The unchanged sources do not build, or do not pass."""


def processes_of(session):
    """Yields the process numbers of a session, and the ticks of processor time that each and its children have used."""
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(path) as file:
                fields = file.read().rpartition(")")[2].split()
            if int(fields[3]) == session:
                yield int(path.split("/")[2]), sum(int(ticks) for ticks in fields[11:15])
        except (OSError, ValueError, IndexError):
            pass


def kill_session(session):
    """Kills what is left of a command: a test that hangs is in a process group of its own, but in the same session."""
    for pid, _ in processes_of(session):
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            pass


class Idleness:
    """Notices that a session has started no process, and used no processor time, for IDLE_S seconds."""

    def __init__(self, session):
        self.session, self.seen, self.since, self.looked = session, None, time.monotonic(), 0

    def is_long(self):
        now = time.monotonic()
        if now - self.looked < 2:
            return False
        self.looked, seen = now, sorted(processes_of(self.session))
        if seen != self.seen:
            self.seen, self.since = seen, now
        return now - self.since > IDLE_S


class Worker:
    """A copy of the sources, and a build of them."""

    def __init__(self, source, build, cc):
        self.dir = tempfile.mkdtemp(prefix="zpool-mutants.")
        self.source, self.build = os.path.join(self.dir, "source"), os.path.join(self.dir, "source", "build")
        builds = {os.path.realpath(build)}

        def ignore(directory, names):
            return [name for name in names if name == ".git" or
                    os.path.realpath(os.path.join(directory, name)) in builds or
                    os.path.exists(os.path.join(directory, name, "config.status"))]

        shutil.copytree(source, self.source, symlinks=True, ignore=ignore)
        os.mkdir(self.build)
        self.require(["../configure", "--quiet", "--disable-static", "CC=" + cc, "CFLAGS=-O1 -w"])
        self.require(["make", "-s", "all", "tests/contract/contract", "tests/clean-start", "tests/starvation/pools",
                      "tests/starvation/loader", "tests/starvation/starve.la"])
        output = self.require(["make", "-s", "--eval", "print-tests:; @echo $(TESTS)", "print-tests"])
        self.tests = output.split()
        self.cpu_s, self.wall_s, self.cost_s = {}, {}, {}

    def require(self, command):
        status, output = self.run(command, 3600, 3600)
        if status != 0:
            raise Failed("%s failed:\n%s" % (" ".join(command), output[-4000:]))
        return output

    def run(self, command, cpu_s, wall_s, enough=lambda: False):
        """
        Runs a command in the build until it ends or there is enough of it. Returns its status, or None if it did not
        end in time, and its output.
        """

        def limit():
            resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 5))
            resource.setrlimit(resource.RLIMIT_DATA, (DATA_BYTES_MAX, DATA_BYTES_MAX))
            # A test of sparse files lifts this limit for itself.
            resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES_MAX, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

        environment = dict(os.environ, abs_top_builddir=self.build, abs_top_srcdir=self.source)
        for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES"):
            environment.pop(name, None)
        with tempfile.TemporaryFile("w+", errors="replace") as output:
            child = subprocess.Popen(command, cwd=self.build, env=environment, stdin=subprocess.DEVNULL, stdout=output,
                                     stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=limit)
            status, latest, idleness = None, time.monotonic() + wall_s, Idleness(child.pid)
            while status is None and time.monotonic() < latest and not enough() and not idleness.is_long():
                try:
                    status = child.wait(POLL_S)
                except subprocess.TimeoutExpired:
                    pass
            kill_session(child.pid)
            child.wait()
            output.seek(0, os.SEEK_END)
            output.seek(max(0, output.tell() - 65536))
            return status, output.read()

    def command(self, step):
        if step and step[0] == "starvation":
            return ["../tests/with-plugins", "tests/starvation/" + step[1][0]] + list(step[1][1:])
        if step and step[0] == "contract":
            command = ["../tests/with-plugins", "tests/contract/contract", "--seed", "1", "--ops", "5000", "--no-rss",
                       "--fail-fast", "--timeout", "20"]
            for spec in step[1]:
                command += ["--driver", spec]
            return command
        names = self.names(step)
        return ["make", "-s", "check-one", "T=" + " ".join(names)] if names else None

    def names(self, step):
        """Returns the tests of a step that is not a contract run, the cheapest first once their costs are known."""
        if step and step[0] in ("contract", "starvation"):
            return []
        names = [test for pattern in step for test in self.tests if matches(test, pattern)]
        return sorted(names, key=lambda name: self.cost_s.get(name, 0))

    def results(self, names):
        """Returns the files in which make notes how the tests ended, in the order of the tests."""
        return [os.path.join(self.build, re.sub(r"\.sh$", "", name) + ".trs") for name in names]

    def failures(self, names):
        """Returns the tests that have failed since their results were removed."""
        failed = []
        for name, path in zip(names, self.results(names)):
            try:
                with open(path) as file:
                    if re.search(r"^:global-test-result: (FAIL|ERROR|XPASS)", file.read(), re.M):
                        failed.append(name)
            except OSError:
                pass
        return failed

    def note_costs(self, names, begin):
        """Derives the tests' costs from the times of their results, which they write one after the other."""
        for name, path in zip(names, self.results(names)):
            ended = os.stat(path).st_mtime
            self.cost_s[name], begin = ended - begin, ended

    def step_passes(self, step, key):
        """Runs one step of a room. Returns None if it passes, and otherwise what failed."""
        command = self.command(step)
        if not command:
            return None
        names = self.names(step)
        for path in self.results(names):
            if os.path.exists(path):
                os.unlink(path)
        cpu_s = self.cpu_s.get(key, 3600)
        status, output = self.run(command, cpu_s, self.wall_s.get(key, 3600), lambda: self.failures(names))
        if status == 0:
            return None
        if self.failures(names):
            return "FAIL: " + self.failures(names)[0]
        if status is None:
            return "a hang, or a time limit"
        failures = [line for line in output.split("\n") if line.startswith(("FAIL: ", "not ok ", "ERROR: "))]
        return failures[0] if failures else "status %d of %s" % (status, command[0])

    def measure(self, room):
        """Runs all steps of a room on the unchanged sources, and derives the time limits of the mutants."""
        for index, step in enumerate(room.steps):
            key = (room.name, index)
            if key in self.cpu_s:
                continue
            for _ in range(2):  # the first run builds the programs
                begin, used = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
                begin_date, names = time.time(), self.names(step)
                failure = self.step_passes(step, key)
                if failure:
                    raise Failed("%s fails without a mutation: %s" % (room.name, failure))
                ended = resource.getrusage(resource.RUSAGE_CHILDREN)
                cpu_s = ended.ru_utime + ended.ru_stime - used.ru_utime - used.ru_stime
            self.note_costs(names, begin_date)
            self.cpu_s[key] = int(CPU_LEAST_S + CPU_FACTOR * cpu_s)
            self.wall_s[key] = HANG_FACTOR * (CPU_LEAST_S + time.monotonic() - begin)

    def objects(self, path):
        """Returns the contents of the objects that the library or a plugin is linked from."""
        stem = os.path.splitext(os.path.basename(path))[0]
        pattern = os.path.join(self.build, os.path.dirname(path), ".libs", "*" + stem + ".o")
        return [open(name, "rb").read() for name in sorted(glob.glob(pattern))]

    def try_mutant(self, room, mutant):
        """Returns "killed", "survived" or "dropped", and what failed."""
        path = os.path.join(self.source, mutant.path)
        with open(path) as file:
            text = file.read()
        before = self.objects(mutant.path)
        try:
            with open(path, "w") as file:
                file.write(mutant.source(text))
            status, _ = self.run(["make", "-s", "all", "tests/contract/contract"], 600, 3600)
            if status != 0 or (before and self.objects(mutant.path) == before):
                return "dropped", None
            for index, step in enumerate(room.steps):
                failure = self.step_passes(step, (room.name, index))
                if failure:
                    return "killed", failure
            return "survived", None
        finally:
            with open(path, "w") as file:
                file.write(text)

    def close(self):
        shutil.rmtree(self.dir, ignore_errors=True)


def matches(test, pattern):
    if pattern.endswith("*"):
        return test.startswith(pattern[:-1])
    return test == pattern


def choose(room, source, rng):
    """Yields the room's mutants in a random order, each operator as often as any other."""
    found = {}
    for pattern in room.sources:
        for path in sorted(glob.glob(os.path.join(source, pattern))):
            relative = os.path.relpath(path, source)
            with open(path) as file:
                for operator, some in mutants.mutants_of(relative, file.read()).items():
                    found.setdefault(operator, []).extend(some)
    for some in found.values():
        rng.shuffle(some)
    while any(found.values()):
        for operator in rng.sample(sorted(found), len(found)):
            if found[operator]:
                yield found[operator].pop()


def read_survivors(source, rooms):
    """Returns the reasons of the survivors that are explained, by their keys. Each key must name one mutant."""
    reasons, reason, keys = {}, "", collections.Counter()
    for path in {path for room in rooms for pattern in room.sources for path in glob.glob(os.path.join(source, pattern))}:
        with open(path) as file:
            for some in mutants.mutants_of(os.path.relpath(path, source), file.read()).values():
                keys.update(mutant.key() for mutant in some)
    with open(os.path.join(source, "tests", "mutation", "survivors")) as file:
        for line in file:
            if line.startswith("# "):
                reason = line[2:].strip()
            elif line.strip():
                key = line.rstrip("\n")
                if keys[key] != 1:
                    raise Failed("tests/mutation/survivors: %d mutants, not one, are named: %s" % (keys[key], key))
                reasons[key] = reason
    return reasons


class Score:
    """What happened to the mutants of one room."""

    def __init__(self):
        self.killed, self.explained, self.survivors = 0, 0, []

    def tried(self):
        return self.killed + self.explained + len(self.survivors)

    def percent(self):
        counted = self.tried() - self.explained
        return 100.0 * self.killed / counted if counted else 100.0


def run_room(room, count, options, workers, reasons, rng):
    score, candidates = Score(), choose(room, options.source, rng)

    def one():
        worker = workers.get()
        try:
            worker.measure(room)
            for mutant in candidates_of(candidates):
                outcome, failure = worker.try_mutant(room, mutant)
                if outcome != "dropped":
                    return mutant, outcome, failure
            return None
        finally:
            workers.put(worker)

    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for result in pool.map(lambda _: one(), range(count)):
            if result is None:
                continue
            mutant, outcome, failure = result
            if outcome == "killed":
                score.killed += 1
                print("killed    %s (%s)" % (mutant, failure), flush=True)
            elif mutant.key() in reasons:
                score.explained += 1
                print("explained %s (%s)" % (mutant, reasons[mutant.key()]), flush=True)
            else:
                score.survivors.append(mutant)
                print("SURVIVED  %s\n          %s" % (mutant, mutant.key()), flush=True)
    return score


def candidates_of(candidates):
    """Yields from a generator that all workers share."""
    while True:
        with CANDIDATES_LOCK:
            mutant = next(candidates, None)
        if mutant is None:
            return
        yield mutant


def parse_options():
    parser = argparse.ArgumentParser(description="Change the library at random places, and count what the tests notice.")
    parser.add_argument("--source", required=True, help="the source tree")
    parser.add_argument("--build", required=True, help="the build tree, which is not copied")
    parser.add_argument("--cc", default="cc", help="the C compiler")
    parser.add_argument("--drivers", required=True, help="the names of the drivers, which are rooms")
    parser.add_argument("--filters", required=True, help="the names of the filters, which are rooms")
    parser.add_argument("--mutants", type=int, default=10, metavar="N", help="mutants of each room")
    parser.add_argument("--rooms", default="", help="names of rooms; all by default")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--goal", type=float, default=95, metavar="PERCENT", help="fail if fewer are killed")
    parser.add_argument("--list", action="store_true", help="print the mutants, and run nothing")
    return parser.parse_args()


def main():
    options = parse_options()
    everything = all_rooms(options.drivers.split(), options.filters.split())
    rooms = [room for room in everything if not options.rooms or room.name in options.rooms.split()]
    print("# seed %d, %d mutants of each of %d rooms, %d jobs" % (options.seed, options.mutants, len(rooms), options.jobs))
    if options.list:
        for room in rooms:
            for mutant in list(choose(room, options.source, random.Random("%d %s" % (options.seed, room.name))))[:options.mutants]:
                print(mutant)
        return 0
    scores, workers, all_workers = {}, queue.Queue(), []
    try:
        reasons = read_survivors(options.source, everything)
        for _ in range(options.jobs):
            all_workers.append(Worker(options.source, options.build, options.cc))
            workers.put(all_workers[-1])
        for room in rooms:
            rng = random.Random("%d %s" % (options.seed, room.name))
            scores[room.name] = run_room(room, options.mutants, options, workers, reasons, rng)
    except Failed as failed:
        print("check-mutants: %s" % failed, file=sys.stderr)
        return 2
    finally:
        for worker in all_workers:
            worker.close()
    return report(scores, options.goal)


def report(scores, goal):
    print("%-10s %8s %8s %10s %9s %7s" % ("room", "mutants", "killed", "explained", "survived", "score"))
    total = Score()
    for name, score in list(scores.items()) + [("all", total)]:
        print("%-10s %8d %8d %10d %9d %6.1f%%" % (name, score.tried(), score.killed, score.explained, len(score.survivors),
                                                  score.percent()))
        total.killed += score.killed
        total.explained += score.explained
        total.survivors += score.survivors
    return 0 if total.percent() >= goal else 1


if __name__ == "__main__":
    sys.exit(main())
