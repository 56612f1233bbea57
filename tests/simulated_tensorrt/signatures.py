"""The enumerations of each TensorRT version, read off the official signatures in tests/stubs."""

import ast
import enum
from functools import cache
from pathlib import Path

__all__ = ["enumeration", "members_of"]

STUBS = Path(__file__).parents[1] / "stubs"


class _Member(enum.Enum):
    """Like those of the bindings: no int, but convertible to one."""

    def __int__(self) -> int:
        return int(self.value)

    def __index__(self) -> int:
        return int(self.value)


def enumeration(version: str, name: str) -> type[enum.Enum]:
    """Enumeration `name` with the members that it has in this version.

    Their integers differ from version to version, and here from those of the real library too.
    """
    classes = _classes(version)
    names = [
        node.target.id
        for node in classes[name].body
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and not node.target.id.startswith("__")
    ]
    first = 3 if version.startswith("11") else 0
    values = {member: first + index for index, member in enumerate(names)}
    return _Member(name, values)


def members_of(version: str, name: str) -> frozenset[str]:
    """The names of a class's methods and attributes in this version."""
    members = set()
    for node in _classes(version)[name].body:
        match node:
            case ast.FunctionDef(name=member) | ast.ClassDef(name=member):
                members.add(member)
            case ast.AnnAssign(target=ast.Name(id=member)):
                members.add(member)
    return frozenset(members)


@cache
def _classes(version: str) -> dict[str, ast.ClassDef]:
    stub = STUBS / f"tensorrt{version.split('.')[0]}" / "tensorrt.pyi"
    tree = ast.parse(stub.read_text(encoding="utf-8"))
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
