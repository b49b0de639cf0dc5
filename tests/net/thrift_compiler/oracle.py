#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compare what coil-thrift and Apache Thrift's compiler understand of the same files.

usage: oracle.py COIL_THRIFT [-I DIRECTORY]... FILE...

Apache's XML (thrift --gen xml:merge) is what it is compared with. Left out is what that is known to
lose: the digits of doubles after the 15th, annotations of types, `&`, documentation, the order between
kinds of definitions, which of two annotations with one key, and the second of two included files of
the same name. Files that Apache's refuses are only counted.
"""
import json
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

XML = "{http://thrift.apache.org/xml/idl}"


def annotations_of(entries):
    return {key: " ".join(value.split()) for key, value in entries}  # Of an XML attribute's white space.


class Apache:
    """A document of Apache's XML, as plain data."""

    def __init__(self, document):
        self.name = document.get("name")
        self.module = None
        self.data = {
            "includes": sorted(it.get("name") for it in self.all(document, "include")),
            "namespaces": sorted((it.get("name"), it.get("value")) for it in self.all(document, "namespace")),
            "definitions": {},
        }
        for kind in ("typedef", "const", "enum", "struct", "union", "exception", "service"):
            for it in self.all(document, kind):
                self.data["definitions"][kind, it.get("name")] = getattr(self, kind)(it)

    @staticmethod
    def all(element, tag):
        return element.findall(XML + tag)

    def annotations(self, element):
        return annotations_of((it.get("key"), it.get("value")) for it in self.all(element, "annotation"))

    def type(self, element):
        kind = element.get("type")
        if kind == "id" and element.get("type-id") == "uuid":  # Of 0.18 and later.
            return "uuid"
        if kind == "id":
            return "id", element.get("type-module"), element.get("type-id")
        if kind in ("list", "set"):
            return kind, self.type(self.all(element, "elemType")[0])
        if kind == "map":
            return kind, self.type(self.all(element, "keyType")[0]), self.type(self.all(element, "valueType")[0])
        return "i8" if kind == "byte" else kind

    def value(self, element):
        (element,) = [it for it in element if it.tag in [XML + tag for tag in
                      ("int", "double", "string", "list", "map", "id")]]
        kind = element.tag[len(XML):]
        if kind in ("int", "double"):
            return float(element.text)
        if kind == "string":
            return element.text or ""
        if kind == "list":
            return [self.value(it) for it in self.all(element, "entry")]
        return sorted(((self.value(self.all(it, "key")[0]), self.value(self.all(it, "value")[0]))
                       for it in self.all(element, "entry")), key=repr)

    def field(self, element):
        default = self.all(element, "default")
        return {
            "name": element.get("name"),
            "id": int(element.get("field-id")),
            "type": self.type(element),
            "requiredness": element.get("required"),
            "default": self.value(default[0]) if default else None,
            "annotations": self.annotations(element),
        }

    def fields(self, element, tag="field"):
        return [self.field(it) for it in self.all(element, tag)]

    def typedef(self, element):
        return {"type": self.type(element), "annotations": self.annotations(element)}

    def const(self, element):
        return {"type": self.type(element), "value": self.value(element)}

    def enum(self, element):
        return {
            "values": [(it.get("name"), int(it.get("value")), self.annotations(it))
                       for it in self.all(element, "member")],
            "annotations": self.annotations(element),
        }

    def struct(self, element):
        return {"fields": self.fields(element), "annotations": self.annotations(element)}

    union = exception = struct

    def service(self, element):
        return {
            "parent": (element.get("parent-module"), element.get("parent-id")),
            "functions": [{
                "name": it.get("name"),
                "oneway": it.get("oneway") == "true",
                "result": self.type(self.all(it, "returns")[0]),
                "parameters": self.fields(it, "arg"),
                "exceptions": self.fields(it, "throws"),
                "annotations": self.annotations(it),
            } for it in self.all(element, "method")],
            "annotations": self.annotations(element),
        }


class Coil:
    """A document of coil-thrift's JSON, as the same plain data."""

    def __init__(self, document, typedefs):
        self.name = document["name"]
        self.typedefs = typedefs
        self.data = {
            "includes": sorted(Path(it).stem for it in document["includes"]),
            "namespaces": sorted(map(tuple, document["namespaces"])),
            "definitions": {},
        }
        for it in document["definitions"]:
            kind = it["kind"]
            self.data["definitions"][kind, it["name"]] = getattr(self, kind)(it)

    def type(self, type, is_typedef=False):
        kind = type["kind"]
        if kind in ("list", "set"):
            return kind, self.type(type["element"])
        if kind == "map":
            return kind, self.type(type["key"]), self.type(type["element"])
        if is_typedef and kind == "typedef":  # Of a typedef's typedef Apache tells the true type.
            return self.type(self.typedefs[type["document"], type["name"]], True)
        if "name" in type:
            return "id", type["document"], type["name"]
        return kind

    def value(self, value):
        if isinstance(value, str):
            return value
        if isinstance(value, list):
            return [self.value(it) for it in value]
        if isinstance(value, dict):
            return sorted(((self.value(key), self.value(it)) for key, it in value["map"]), key=repr)
        return float(f"{value:.15g}" if isinstance(value, float) else value)

    @staticmethod
    def annotations(entry):
        return annotations_of(entry.get("annotations", []))

    def field(self, field):
        return {
            "name": field["name"],
            "id": field["id"],
            "type": self.type(field["type"]),
            "requiredness": field.get("requiredness"),
            "default": self.value(field["default"]) if "default" in field else None,
            "annotations": self.annotations(field),
        }

    def fields(self, fields):
        return [self.field(it) for it in fields]

    def typedef(self, entry):
        return {"type": self.type(entry["type"], True), "annotations": self.annotations(entry)}

    def const(self, entry):
        return {"type": self.type(entry["type"]), "value": self.value(entry["value"])}

    def enum(self, entry):
        return {
            "values": [(it["name"], it["value"], self.annotations(it)) for it in entry["values"]],
            "annotations": self.annotations(entry),
        }

    def struct(self, entry):
        return {"fields": self.fields(entry["fields"]), "annotations": self.annotations(entry)}

    union = exception = struct

    def service(self, entry):
        parent = entry.get("extends", {})
        return {
            "parent": (parent.get("document"), parent.get("name")),
            "functions": [{
                "name": it["name"],
                "oneway": it.get("oneway", False),
                "result": self.type(it["result"]),
                "parameters": self.fields(it["parameters"]),
                "exceptions": self.fields(it["exceptions"]),
                "annotations": self.annotations(it),
            } for it in entry["functions"]],
            "annotations": self.annotations(entry),
        }


def ask_coil(program, path, search):
    result = subprocess.run([program, "--quiet", "--dump", *search, path], capture_output=True)
    if result.returncode != 0:
        return None, result.stderr.decode(errors="replace")
    documents = json.loads(result.stdout.decode(errors="replace"))
    typedefs = {(document["name"], it["name"]): it["type"] for document in documents
                for it in document["definitions"] if it["kind"] == "typedef"}
    return {document["name"]: Coil(document, typedefs).data for document in documents}, ""


def ask_apache(path, search):
    with tempfile.TemporaryDirectory() as directory:
        result = subprocess.run(["thrift", "--gen", "xml:merge", *search, "-out", directory, path],
                                capture_output=True)
        if result.returncode != 0:
            return None, (result.stdout + result.stderr).decode(errors="replace")
        try:
            root = ElementTree.parse(Path(directory) / (Path(path).stem + ".xml")).getroot()
        except ElementTree.ParseError as error:
            return None, f"its XML is broken: {error}"
        return {it.get("name"): Apache(it).data for it in root.findall(XML + "document")}, ""


def differences(ours, theirs, where=""):
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted(set(ours) | set(theirs), key=repr):
            yield from differences(ours.get(key), theirs.get(key), f"{where} {key}")
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for index, pair in enumerate(zip(ours, theirs)):
            yield from differences(*pair, f"{where} {index}")
    elif ours != theirs:
        yield f"{where}: {ours!r}, and Apache's {theirs!r}"


def main():
    program, *arguments = sys.argv[1:]
    search = []
    while arguments and arguments[0] == "-I":
        search += arguments[:2]
        del arguments[:2]
    compared = refused = failed = 0
    for path in arguments:
        ours, our_words = ask_coil(program, path, search)
        theirs, their_words = ask_apache(path, search)
        if theirs is None:
            refused += 1
            print(f"{path}: Apache's refuses it: {their_words.strip().splitlines()[-1]}")
            continue
        compared += 1
        found = [our_words.strip()] if ours is None else list(differences(ours, theirs))
        if found:
            failed += 1
            print(f"{path}:", *found, sep="\n  ")
    print(f"{compared} compared, {refused} refused by Apache's, {failed} differ")
    return failed != 0 or compared == 0


if __name__ == "__main__":
    sys.exit(main())
