"""What a stage's result depends on, read off its imports: modules of the workspace, followed all the way."""

import ast
from pathlib import Path


def imported_modules(code: str) -> set[str]:
    """Return the dotted names that the code imports, wherever in it; `from a import b` gives `a` and `a.b`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def source_files(code: str, root: Path) -> list[str]:
    """Return the files below `root/src` that the code imports, directly or through others, as sorted relative paths."""
    seen: set[str] = set()
    waiting = [code]
    while waiting:
        for name in imported_modules(waiting.pop()):
            file = root / "src" / (name.replace(".", "/") + ".py")
            path = file.relative_to(root).as_posix()
            if file.is_file() and path not in seen:
                seen.add(path)
                waiting.append(file.read_text("utf-8"))
    return sorted(seen)
