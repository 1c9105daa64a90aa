#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""docs/api.md against a real server: its commands are run in their order, and each answer must be
as shown. TAP.

    WEFT_PROGRAM   the program
    WEFT_DOCUMENT  docs/api.md
    WEFT_OPENAPI   openapi.json: what it names must be in the document

A block "sh" is run by sh. A block "http" behind it is the answer of its last curl: status, the
headers that are shown, body. A block "text" is what its command prints. A command "weft serve" is
started beside the others, on a free port. What varies may be written as it was in some run:

    ids            the same id stands for the same id, everywhere, also in commands
    lease tokens   the same
    event numbers  the same
    times          any time, unless it is in 2030 or later
    "running"      the job's state may be "available" still
    ...            anything: a value, further members, further elements, the rest of a line, lines"""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
TIME = r"20[012]\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"
VARIES = re.compile(rf"({UUID})|({TIME})|(\.\.\.)")
EVENT = re.compile(r"(Last-Event-ID: |after=|^id: )([1-9]\d*)")
COMMAND_TIME_S = 120


class Wrong(Exception):
    """What is not as shown."""


class Names:
    """What the document calls things, and what they are in this run."""

    def __init__(self):
        self.actual = {}
        self.shown = {}

    def pair(self, kind, shown, actual):
        if self.actual.setdefault((kind, shown), actual) != actual:
            raise Wrong(f"{shown} was {self.actual[kind, shown]} before, and is {actual} now")
        if self.shown.setdefault((kind, actual), shown) != shown:
            raise Wrong(f"{actual} was shown as {self.shown[kind, actual]} before, not {shown}")

    def copy(self):
        other = Names()
        other.actual, other.shown = dict(self.actual), dict(self.shown)
        return other

    def command(self, text):
        """A command of the document with what things are in this run."""

        def event(found):
            return found[1] + str(self.actual.get(("event", int(found[2])), found[2]))

        text = EVENT.sub(event, text)
        for (kind, shown), actual in self.actual.items():
            if kind == "token":
                text = text.replace(f'"{shown}"', f'"{actual}"')
            elif kind != "event":
                text = text.replace(shown, actual)
        return text


# ---- comparing --------------------------------------------------------------------------------


def same_text(shown, actual, names):
    pattern, kinds, at = "", [], 0
    for found in VARIES.finditer(shown):
        pattern += re.escape(shown[at : found.start()])
        pattern += f"({UUID})" if found[1] else f"({TIME})" if found[2] else "(.*)"
        kinds.append(found)
        at = found.end()
    fits = re.fullmatch(pattern + re.escape(shown[at:]), actual, re.DOTALL)
    if not fits:
        raise Wrong(f"shown: {shown}\nis: {actual}")
    for found, value in zip(kinds, fits.groups()):
        if found[1]:
            names.pair("id", found[1], value)


def same(shown, actual, names, place="the answer"):
    if shown == "...":
        return
    key = place.rsplit(".", 1)[-1]
    if isinstance(shown, dict) and isinstance(actual, dict):
        for name in shown.keys() - {"..."}:
            if name not in actual:
                raise Wrong(f'{place} has no "{name}"')
            same(shown[name], actual[name], names, f"{place}.{name}")
        more = actual.keys() - shown.keys()
        if more and "..." not in shown:
            raise Wrong(f"{place} has more: {', '.join(sorted(more))}")
    elif isinstance(shown, list) and isinstance(actual, list):
        some = shown[:-1] if shown and shown[-1] == "..." else shown
        if len(actual) < len(some) or (some is shown and len(actual) > len(some)):
            raise Wrong(f"{place} has {len(actual)} elements, not {len(some)}")
        for i, item in enumerate(some):
            same(item, actual[i], names, f"{place}.{i}")
    elif key == "token" and isinstance(shown, str) and isinstance(actual, str):
        if not actual.isdecimal():
            raise Wrong(f"{place} is {actual}")
        names.pair("token", shown, actual)
    elif key == "event number" and isinstance(actual, int):
        names.pair("event", shown, actual)
    elif key == "state" and (shown, actual) == ("running", "available"):
        return # whether the server had begun with it already
    elif isinstance(shown, str) and isinstance(actual, str):
        try:
            same_text(shown, actual, names)
        except Wrong as wrong:
            raise Wrong(f"{place}:\n{wrong}") from None
    elif isinstance(shown, bool) != isinstance(actual, bool) or shown != actual:
        raise Wrong(f"{place} is {json.dumps(actual)}, not {json.dumps(shown)}")


def load_shown(text):
    """JSON in which "..." stands for anything."""
    out, stack, before, inside, at = "", [], "", False, 0
    while at < len(text):
        c = text[at]
        if not inside and text.startswith("...", at):
            member = stack and stack[-1] == "{" and before in "{,"
            out += '"...": 0' if member else '"..."'
            before = "."
            at += 3
            continue
        if inside and c == "\\":
            out += text[at : at + 2]
            at += 2
            continue
        inside ^= c == '"'
        if not inside and c in "{[":
            stack.append(c)
        elif not inside and c in "}]" and stack:
            stack.pop()
        before = before if c.isspace() else c
        out += c
        at += 1
    return json.loads(out)


def one_of_each(pairs):
    if len({name for name, _ in pairs}) != len(pairs):
        raise Wrong(f"a member is there twice: {[name for name, _ in pairs]}")
    return dict(pairs)


def same_body(shown, actual, names):
    try:
        wanted = load_shown(shown)
    except ValueError:
        same_lines(shown, actual, names)
        return
    try:
        is_there = json.loads(actual, object_pairs_hook=one_of_each)
    except ValueError:
        raise Wrong(f"the answer is no JSON: {actual[:500]}") from None
    same(wanted, is_there, names)


def same_line(shown, actual, names):
    """A line; of a stream of events, with JSON and numbers of its own."""
    if shown.startswith("data: {") and actual.startswith("data: {"):
        wanted, is_there = load_shown(shown[6:]), json.loads(actual[6:])
        for number in ("number", "after", "next"):
            if number in wanted and number in is_there:
                same(wanted.pop(number), is_there.pop(number), names, "event number")
        same(wanted, is_there, names, "the event")
    elif re.fullmatch(r"id: \d+", shown) and re.fullmatch(r"id: \d+", actual):
        names.pair("event", int(shown[4:]), int(actual[4:]))
    else:
        same_text(shown, actual, names)


def same_lines(shown, actual, names):
    wanted, there = shown.strip("\n").split("\n"), actual.strip("\n").split("\n")
    at = 0
    for i, line in enumerate(wanted):
        if line != "...":
            if at == len(there):
                raise Wrong(f"the answer ends before: {line}")
            same_line(line, there[at], names)
            at += 1
        elif i + 1 == len(wanted):
            return
        else: # up to the line that is next
            while at < len(there):
                trial = names.copy()
                try:
                    same_line(wanted[i + 1], there[at], trial)
                    break
                except Wrong:
                    at += 1
    if at < len(there):
        raise Wrong(f"the answer goes on: {there[at]}")


def same_answer(shown, head, body, names):
    """An http block, with the head and the body that came."""
    shown_head, _, shown_body = shown.partition("\n\n")
    status, *fields = shown_head.strip().split("\n")
    lines = head.strip().splitlines() or ["no answer"]
    wanted = re.fullmatch(r"HTTP/1\.1 (\d{3})( .*)?", status)
    if not wanted:
        raise Wrong(f"this is no status line: {status}")
    if lines[0].split()[1:2] != [wanted[1]]:
        raise Wrong(f"{lines[0]}, not {wanted[1]}: {body[:500]}")
    for field in fields:
        same_line_of = [line for line in lines if line.lower().startswith(field.split(":")[0].lower() + ":")]
        if not same_line_of:
            raise Wrong(f"the header is not there: {field}")
        same_text(field.split(":", 1)[1].strip(), same_line_of[0].split(":", 1)[1].strip(), names)
    if shown_body.strip() or body.strip():
        same_body(shown_body.strip(), body.strip(), names)


# ---- the document -----------------------------------------------------------------------------


def blocks_of(text):
    """(kind, text, line) of every block between fences."""
    kind, lines, begin = None, [], 0
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith("```") and kind is None:
            kind, lines, begin = line[3:].strip(), [], number
        elif line == "```":
            yield kind, "\n".join(lines), begin
            kind = None
        elif kind is not None:
            lines.append(line)


class Example:
    def __init__(self, command, line):
        self.command, self.line = command, line
        self.kind = self.answer = None


def examples_of(text):
    examples = []
    for kind, block, line in blocks_of(text):
        if kind == "sh":
            examples.append(Example(block, line))
        elif kind in ("http", "text"):
            if not examples or examples[-1].kind:
                raise SystemExit(f"line {line}: an answer without a command")
            examples[-1].kind, examples[-1].answer = kind, block
    return examples


class Runner:
    def __init__(self, weft):
        self.names = Names()
        self.servers = []
        self.folder = tempfile.mkdtemp()
        self.tools = tempfile.mkdtemp()
        os.symlink(os.path.abspath(weft), os.path.join(self.tools, "weft"))
        with open(os.path.join(self.tools, ".curlrc"), "w", encoding="utf-8") as file:
            file.write(f'silent\nshow-error\ndump-header = "{self.tools}/head"\n')
        kept = {k: v for k, v in os.environ.items() if k == "WEFT_IO" or not k.startswith("WEFT_")}
        for name in [name for name in kept if name.lower().endswith("_proxy")]:
            del kept[name]
        self.environment = kept | {
            "HOME": self.tools,
            "PATH": self.tools + ":" + os.environ.get("PATH", "/usr/bin:/bin"),
            "LC_ALL": "C.UTF-8",
        }

    def start_server(self, command):
        """What the document says, on a free port; where it says it listens is there then."""
        found = re.search(r" --listen (\S+)", command)
        shown = found[1] if found else "127.0.0.1:8001"
        words = re.sub(r" --listen \S+", "", command).split()[2:]
        with open(os.path.join(self.tools, f"log{len(self.servers)}"), "w", encoding="utf-8") as log:
            # pylint: disable-next=consider-using-with
            server = subprocess.Popen(
                [os.path.join(self.tools, "weft"), "serve", "--listen", "127.0.0.1:0", *words],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.servers.append(server)
        line = server.stdout.readline()
        where = re.search(r"127\.0\.0\.1:\d+", line)
        if not where:
            raise Wrong(f"the server says: {line}")
        self.names.pair("address", shown, where[0])

    def run(self, example):
        command = self.names.command(example.command)
        *first, last = command.split("\n")
        serves = last.startswith("weft serve")
        text = "\n".join(first) if serves else command
        head = os.path.join(self.tools, "head")
        if os.path.exists(head):
            os.remove(head)
        done = subprocess.run(
            ["sh", "-c", text],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=COMMAND_TIME_S,
            check=False,
        )
        output = done.stdout.decode("utf-8")
        if serves:
            self.start_server(last)
        if done.stderr and b"timed out" not in done.stderr: # a stream is ended by curl's clock
            raise Wrong(done.stderr.decode("utf-8", "replace"))
        if example.kind == "text":
            same_lines(example.answer, output, self.names)
        elif example.kind == "http":
            with open(head, encoding="utf-8") as file:
                example.head, example.body = file.read(), output
            same_answer(example.answer, example.head, output, self.names)
        elif output:
            raise Wrong(f"the answer is not shown: {output}")

    def end(self):
        codes = []
        for server in self.servers:
            server.send_signal(signal.SIGTERM)
        for server in self.servers:
            try:
                codes.append(server.wait(60))
            except subprocess.TimeoutExpired:
                server.kill()
                codes.append(server.wait())
            server.stdout.close()
        return codes

    def logs(self):
        for i in range(len(self.servers)):
            with open(os.path.join(self.tools, f"log{i}"), encoding="utf-8") as file:
                yield from file.read().splitlines()[-5:]

    def remove(self):
        shutil.rmtree(self.folder)
        shutil.rmtree(self.tools)


# ---- the tests --------------------------------------------------------------------------------


class Tap:
    def __init__(self):
        self.number = self.failures = 0

    def ok(self, fine, name, why=""):
        self.number += 1
        self.failures += not fine
        for line in str(why).splitlines() if not fine else ():
            print("#", line)
        print("ok" if fine else "not ok", self.number, "-", name.replace("#", ""), flush=True)


def name_of(example):
    lines = [line for line in example.command.split("\n") if line.strip()]
    return f"line {example.line}: {lines[-1].strip()[:100]}"


def broken(answer):
    """The same answer, wrong in one way each."""
    head, _, body = answer.partition("\n\n")
    status = re.search(r" (\d{3})", head)[1]
    yield "another status", head.replace(status, str(int(status) ^ 1), 1) + "\n\n" + body
    yield "a header that is not there", head + "\nX-Nobody: 1\n\n" + body
    yield "no body", head
    yield "a member too many", head + "\n\n" + body.replace("{", '{"nobody": 1, ', 1)
    for name in re.findall(r'"(\w+)":', body):
        yield f"{name} by another name", head + "\n\n" + body.replace(f'"{name}"', f'"{name}s"')
    for value in re.findall(r'": "([a-z]+)"', body):
        yield f"{value}, changed", head + "\n\n" + body.replace(f'"{value}"', f'"{value}!"')
    for number in re.findall(r'": (\d+)', body):
        yield f"{number}, changed", head + "\n\n" + body.replace(f": {number}", f": {number}7", 1)
    for shown in re.findall(UUID, body):
        yield "another id", head + "\n\n" + body.replace(shown, shown[:-1] + "f", 1)


def test_that_it_can_fail(tap, examples, names):
    """Nothing that is changed in an answer of the document goes unnoticed."""
    tried, unnoticed = 0, []
    for example in examples:
        if not hasattr(example, "body") or not example.body.startswith("{"):
            continue
        for what, answer in broken(example.answer):
            tried += 1
            try:
                same_answer(answer, example.head, example.body, names.copy())
                unnoticed.append(f"line {example.line}: {what}")
            except Wrong:
                pass
    tap.ok(tried > 200 and not unnoticed, f"{tried} mistakes in the document would be noticed",
           "\n".join(unnoticed))


def names_in(openapi):
    """Whatever a client may send."""
    schemas = openapi["components"]["schemas"]

    def members(schema, seen):
        ref = schema.get("$ref", "").rsplit("/", 1)[-1]
        if ref in seen:
            return
        if ref:
            seen = seen | {ref}
            schema = schemas[ref]
        yield from schema.get("properties", ())
        yield from schema.get("enum", ())
        for part in [*schema.get("properties", {}).values(), *schema.get("oneOf", ())]:
            yield from members(part, seen)
        if "items" in schema:
            yield from members(schema["items"], seen)

    for path, item in openapi["paths"].items():
        for method, operation in item.items():
            yield f"{method.upper()} {path}"
            for parameter in operation.get("parameters", ()):
                yield parameter["name"]
            for content in operation.get("requestBody", {}).get("content", {}).values():
                for name in members(content["schema"], frozenset()):
                    yield str(name)


def test_that_it_is_complete(tap, text, openapi):
    missing = []
    inline = " ".join(re.findall(r"`([^`\n]+)`", text))
    for name in sorted(set(names_in(openapi))):
        method, _, path = name.partition(" ")
        if path:
            shown = re.search(rf"{method}[A-Z, ]* {re.escape(path)}(?![\w/{{])", inline)
        else:
            shown = re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", inline)
        if not shown:
            missing.append(name)
    tap.ok(not missing, "every operation, parameter, member and word of openapi.json is explained",
           "\n".join(missing))


def main():
    with open(os.environ["WEFT_DOCUMENT"], encoding="utf-8") as file:
        text = file.read()
    with open(os.environ["WEFT_OPENAPI"], encoding="utf-8") as file:
        openapi = json.load(file)
    tap = Tap()
    test_that_it_is_complete(tap, text, openapi)
    if not shutil.which("curl"):
        print("ok 2 - the examples # SKIP curl is not installed\n1..2")
        return tap.failures > 0
    examples = examples_of(text)
    runner = Runner(os.environ["WEFT_PROGRAM"])
    try:
        for example in examples:
            try:
                runner.run(example)
                tap.ok(True, name_of(example))
            except (Wrong, ValueError, OSError, subprocess.TimeoutExpired) as wrong:
                tap.ok(False, name_of(example), "\n".join([str(wrong), *runner.logs()]))
        test_that_it_can_fail(tap, examples, runner.names)
    finally:
        codes = runner.end()
        runner.remove()
    tap.ok(not any(codes), "the servers end well", codes)
    print(f"1..{tap.number}")
    return tap.failures > 0


if __name__ == "__main__":
    sys.exit(main())
