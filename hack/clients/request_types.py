"""What the installed clients can say: a body for each member of each type of their requests.

Reads the types of anthropic and google-genai, for Python from the modules that this interpreter has, for Node from the
declarations below node_modules, and prints a line of JSON for each member wherever it may stand:

    {"publisher": "anthropic", "member": "python: BetaTextBlockParam.citations", "body": {"messages": {"content": …}}}

Lists have one element and are left out: what is said of a list's elements is said of one.
"""

import json
import re
import sys
import types
import typing
from collections import deque
from pathlib import Path

NODE = Path(__file__).parent / "node_modules"

# What anthropic sends as headers.
ANTHROPIC_HEADERS = {"betas", "user_profile_id", "workspace_id"}

# What google-genai sends at the body's top; all else of its configuration goes into generationConfig.
GOOGLE_TOP = {
    "systemInstruction": "systemInstruction",
    "safetySettings": "safetySettings",
    "tools": "tools",
    "toolConfig": "toolConfig",
    "labels": "labels",
    "cachedContent": "cachedContent",
    "modelArmorConfig": "modelArmorConfig",
    "serviceTier": "serviceTier",
    "continuationToken": "continuationToken",
    "generationOutputConfig": "outputConfig",
}
# What it keeps for itself, or refuses to send to Vertex AI.
GOOGLE_KEPT = {
    "abortSignal",
    "automaticContinuation",
    "automaticFunctionCalling",
    "httpOptions",
    "shouldReturnHttpResponse",
    "store",
}
GOOGLE_MADE = {
    "contents": "Content",
    "generationConfig": "GenerationConfig",
    "systemInstruction": "Content",
    "tools": "Tool",
}
# What it sends under another name.
GOOGLE_RENAMED = {
    ("GenerationConfig", "modelSelectionConfig"): ["modelConfig"],
    ("ImageConfig", "outputMimeType"): ["imageOutputOptions", "mimeType"],
    ("ImageConfig", "outputCompressionQuality"): ["imageOutputOptions", "compressionQuality"],
}
# Types that are data, and those that it turns into others.
GOOGLE_DATA = {"Schema", "JSONSchema"}
GOOGLE_TURNED = {"File", "CallableTool", "HttpOptions", "Session", "ClientSession"}


class Member:
    """A member: the types that its objects may have, its first text, and whether any names stand between."""

    def __init__(self):
        self.types = []
        self.text = None
        self.map = False
        self.unions = set()

    def value(self, inner):
        return {"any": inner} if self.map else inner

    def leaf(self):
        return self.value("x" if self.text is None else self.text)


def of_python(root, graph):
    """Adds a type of Python's and all that it can hold."""
    name = root.__name__
    if name in graph:
        return name
    graph[name] = members = {}
    if hasattr(root, "model_fields"):
        hints = {field.alias or key: field.annotation for key, field in root.model_fields.items()}
    else:
        hints = typing.get_type_hints(root)
    for key, hint in hints.items():
        member = Member()
        look_into(hint, member, graph)
        members[key] = member
    return name


def look_into(hint, member, graph):
    hint = getattr(hint, "__value__", hint)
    origin = typing.get_origin(hint)
    if origin is typing.Literal:
        member.text = member.text or next((a for a in typing.get_args(hint) if isinstance(a, str)), None)
    elif hasattr(hint, "__required_keys__") or (hasattr(hint, "model_fields") and isinstance(hint, type)):
        if hint.__name__ in GOOGLE_DATA:
            member.map = True
        elif hint.__name__ not in GOOGLE_TURNED:
            member.types.append(of_python(hint, graph))
    elif origin is not None or isinstance(hint, types.UnionType):
        member.map |= origin in (dict, typing.Mapping) or "Mapping" in str(origin)
        for argument in typing.get_args(hint):
            if not isinstance(argument, (str, bytes)):
                look_into(argument, member, graph)


def of_declarations(path, graph):
    """Adds all interfaces of a file of TypeScript declarations, and the names of unions; gives the function that finds types."""
    text = path.read_text()
    text = re.sub(r"/\*.*?\*/|^\s*//.*?$", "", text, flags=re.S | re.M)
    bodies, unions = {}, {}

    def scan(text, within):
        at = 0
        head = re.compile(
            r"\b(?:interface|class|namespace)\s+(\w+)(?:<[^{]*?>)?(?:\s+(?:extends|implements)\s+([^{]+?))?\s*\{"
            r"|\btype\s+(\w+)(?:<[^=]*?>)?\s*=\s*([^;]+);"
        )
        while found := head.search(text, at):
            if found[3]:
                unions[found[3]] = unions[within + found[3]] = found[4]
                at = found.end()
                continue
            end = closing(text, found.end())
            inside = text[found.end() : end]
            if "namespace" in found[0].split()[0]:
                scan(inside, within + found[1] + ".")
            else:
                bodies.setdefault(within + found[1], (inside, found[2] or ""))
            at = end

    scan(text, "")

    def find(expression, member):
        for name in re.findall(r"'([^']*)'", expression):
            member.text = member.text or name
        member.map |= bool(re.search(r"Record<|\[key: string\]|\[k: string\]", expression))
        for name in re.findall(r"\b[A-Z]\w*(?:\.\w+)*", re.sub(r"'[^']*'", "", expression)):
            add(name, member)

    def add(name, member):
        while name not in bodies and name not in unions and "." in name:
            name = name.split(".", 1)[1]
        if name in GOOGLE_DATA:
            member.map = True
        elif name in GOOGLE_TURNED:
            pass
        elif name in bodies:
            if name not in member.types:
                member.types.append(name)
                expand(name)
        elif name in unions and name not in member.unions:
            member.unions.add(name)
            find(unions[name], member)

    def expand(name):
        if name in graph:
            return
        graph[name] = members = {}
        inside, parents = bodies[name]
        for parent in re.findall(r"\w+(?:\.\w+)*", parents):
            holder = Member()
            add(parent, holder)
            for one in holder.types:
                members.update(graph[one])
        for part in split(inside):
            found = re.match(r"(?:readonly\s+)?['\"]?(\w+)['\"]?\??\s*:\s*(.+)$", part.strip(), re.S)
            if found:
                members[found[1]] = member = Member()
                find(found[2], member)

    return expand


def closing(text, at):
    depth = 1
    while depth:
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        at += 1
    return at - 1


def split(text):
    """The parts between semicolons that stand in no brackets."""
    depth, start = 0, 0
    for at, c in enumerate(text):
        depth += {"{": 1, "(": 1, "<": 1, "}": -1, ")": -1, ">": -1}.get(c, 0)
        if c == ";" and depth == 0:
            yield text[start:at]
            start = at + 1


def samples(publisher, language, graph, roots, renamed):
    """A body for each member, and for each member of what that may hold, where its type is first met."""

    def object_of(name, key=None, value=None):
        members = graph[name]
        made = {}
        if "type" in members and members["type"].text and not members["type"].types:
            made["type"] = members["type"].text
        if key is not None:
            *above, last = renamed.get((name, key), [key])
            inner = {last: value}
            for step in reversed(above):
                inner = {step: inner}
            made.update(inner)
        return made

    def say(member, body):
        key = json.dumps(body, sort_keys=True)
        if key not in said:
            said.add(key)
            print(json.dumps({"publisher": publisher, "member": f"{language}: {member}", "body": body}))

    said, met = set(), set(roots)
    open_types = deque((root, lambda inner: inner) for root in roots)
    while open_types:
        name, wrap = open_types.popleft()
        for key, member in graph[name].items():
            if not member.types:
                say(f"{name}.{key}", wrap(object_of(name, key, member.leaf())))
            for inner in member.types:
                def wrapped(value, wrap=wrap, name=name, key=key, member=member):
                    return wrap(object_of(name, key, member.value(value)))

                for below, leaf in graph[inner].items():
                    value = leaf.value(object_of(leaf.types[0])) if leaf.types else leaf.leaf()
                    say(f"{name}.{key}: {inner}.{below}", wrapped(object_of(inner, below, value)))
                if not graph[inner]:
                    say(f"{name}.{key}: {inner}", wrapped({}))
                if inner not in met:
                    met.add(inner)
                    open_types.append((inner, wrapped))


def anthropic(language, graph, roots):
    """The bodies of anthropic, which are as their types."""
    for root in roots:
        graph[root] = {key: member for key, member in graph[root].items() if key not in ANTHROPIC_HEADERS}
    samples("anthropic", language, graph, roots, {})


def google(language, graph):
    """The bodies of google-genai, whose configuration is spread over them."""
    top = graph["(body)"] = {}
    inside = graph["GenerationConfig"]
    for key, member in graph["GenerateContentConfig"].items():
        if key in GOOGLE_TOP:
            top[GOOGLE_TOP[key]] = member
        elif key not in GOOGLE_KEPT:
            inside.setdefault(key, member)
    for key, member in graph["CountTokensConfig"].items():
        if key not in GOOGLE_KEPT:
            top.setdefault(key, member)
    # It takes more than these, and makes these of it.
    for key, name in GOOGLE_MADE.items():
        top[key] = Member()
        top[key].types = [name]
    samples("google", language, graph, ["(body)"], GOOGLE_RENAMED)


def main():
    from anthropic.types import message_count_tokens_params, message_create_params
    from anthropic.types.beta import message_count_tokens_params as beta_count
    from anthropic.types.beta import message_create_params as beta
    from google.genai import types as genai

    for create, count in ((beta, beta_count), (message_create_params, message_count_tokens_params)):
        graph = {}
        roots = (create.MessageCreateParamsNonStreaming, create.MessageCreateParamsStreaming, count.MessageCountTokensParams)
        anthropic("python", graph, [of_python(root, graph) for root in roots])
    graph = {}
    for name in ("GenerateContentConfig", "GenerationConfig", "CountTokensConfig", "Content", "Tool"):
        of_python(getattr(genai, name), graph)
    google("python", graph)

    messages = NODE / "@anthropic-ai/sdk/resources"
    for path in (messages / "beta/messages/messages.d.ts", messages / "messages/messages.d.ts"):
        graph = {}
        expand = of_declarations(path, graph)
        roots = ["MessageCreateParamsBase", "MessageCreateParamsStreaming", "MessageCountTokensParams"]
        for root in roots:
            expand(root)
        anthropic("node", graph, roots)
    graph = {}
    expand = of_declarations(NODE / "@google/genai/dist/genai.d.ts", graph)
    for name in ("GenerateContentConfig", "GenerationConfig", "CountTokensConfig", "Content", "Tool"):
        expand(name)
    google("node", graph)


if __name__ == "__main__":
    sys.exit(main())
