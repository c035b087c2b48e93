"""YAML as recipes and data sets' lists need it: plain values, in bounds, whoever wrote it.

`yaml.safe_load` builds no object of a class that the text names. Bounded are besides: the length,
how deep lists lie in lists, and how much the text comes to once its aliases are written out, which
grows without bound with a few lines ("billion laughs").

What is a number, true or null is as YAML 1.2 has it. PyYAML goes by 1.1, where 1e-3 is text, 010
is 8, 1:30 is 90, `no` is false, and 2026-01-02 is a date.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from briskseg.core.files.safe_names import printable

MAX_CHARACTERS = 64 * 1024  # the longest recipe here has 2,000
_MAX_VALUES = 10_000
_MAX_DEPTH = 20


_FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?$|[-+]?\.(inf|Inf|INF)$"
    r"|\.(nan|NaN|NAN)$"
)
_PLAIN = {  # each kind's tag, what it looks like, and the characters that it begins with
    "null": (re.compile(r"(~|null|Null|NULL|)$"), ["~", "n", "N", ""]),
    "bool": (re.compile(r"(true|True|TRUE|false|False|FALSE)$"), [*"tTfF"]),
    "int": (re.compile(r"[-+]?(0|[1-9][0-9]*)$"), [*"-+0123456789"]),
    "float": (_FLOAT, [*"-+.0123456789"]),
    "merge": (re.compile(r"<<$"), ["<"]),
}


class _Loader(yaml.SafeLoader):
    """Knows no kind of plain value but those in `_PLAIN`."""


_Loader.yaml_implicit_resolvers = {}


class _Dumper(yaml.SafeDumper):
    """Quotes text that either version would read as something else."""


for _tag, (_pattern, _begins) in _PLAIN.items():
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", _pattern, _begins)


def dump_yaml(values: Any) -> str:
    """Text that `parse_yaml` and every other program read as these values, keys in their order."""
    text: str = yaml.dump(values, Dumper=_Dumper, sort_keys=False)
    return text


class YamlError(ValueError):
    """The text is no YAML that is taken; says why, and on which line where that is known."""


def parse_yaml(text: str) -> Any:
    """The text's values: dictionaries, lists, text, numbers, true, null. Raises YamlError."""
    if len(text) > MAX_CHARACTERS:
        raise YamlError(f"{len(text)} characters, expected at most {MAX_CHARACTERS}")
    loader = None
    try:
        loader = _Loader(text)  # which refuses characters that are none
        node = loader.get_single_node()
        if node is None:
            return None
        values = _count(node, {}, 1)
        if values > _MAX_VALUES:
            raise YamlError(
                f"{values} values once its aliases are written out, more than are taken"
            )
        return loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        where = f" at line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise YamlError(f"not YAML{where}: {error.problem}") from None
    except RecursionError:
        raise YamlError("lists within lists without end") from None
    except YamlError:
        raise
    except Exception as error:  # such a character, or a number that is too long
        raise YamlError(f"not YAML ({type(error).__name__})") from None
    finally:
        if loader is not None:
            loader.dispose()


def _count(node: yaml.Node, known: dict[int, int], depth: int) -> int:
    """How many values the node is with its aliases written out; each node is visited once."""
    if depth > _MAX_DEPTH:
        raise YamlError(f"more than {_MAX_DEPTH} levels of lists within lists")
    if id(node) in known:
        return known[id(node)]
    total = 1
    if isinstance(node, yaml.MappingNode):
        _refuse_doubled(node)
    if isinstance(node, yaml.CollectionNode):
        for item in node.value:
            for part in item if isinstance(item, tuple) else (item,):
                total += _count(part, known, depth + 1)
    known[id(node)] = total
    return total


def _refuse_doubled(node: yaml.MappingNode) -> None:
    """YAML forbids a key twice, but its loaders let the later one win."""
    lines: dict[str, int] = {}
    for key, _ in node.value:
        line = key.start_mark.line + 1
        if isinstance(key, yaml.ScalarNode) and key.value in lines:
            raise YamlError(
                f"the key '{printable(key.value[:100])}' twice, at line {lines[key.value]} and at "
                f"line {line}; keep one"
            )
        lines[str(key.value)] = line
