"""Events of MkDocs: pages that are made from the code, and links that leave the folder of the documentation."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files, InclusionLevel

ROOT = Path(__file__).parents[2]

_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s#]+)(#[^)\s]*)?\)")
_FENCE = re.compile(r"(^(?:```|~~~).*?^(?:```|~~~)\s*$)", flags=re.DOTALL | re.MULTILINE)


def _studies() -> dict[Path, str]:
    """Return the README files outside the documentation that are pages of the site, with the page of each."""
    found = {}
    for folder in ("experiments", "examples", "plugins"):
        for file in sorted((ROOT / folder).glob("*/README.md")):
            found[file] = f"studies/{file.parent.name}.md"
    return found


STUDIES = _studies()


def on_files(files: Files, config: Any) -> Files:
    """Add the reference, made from the code, and the READMEs of studies and examples."""
    sys.path.insert(0, str(Path(__file__).parent))  # MkDocs takes it away again after it has loaded this file
    from reference import reference_pages

    for path, text in reference_pages().items():
        files.append(File.generated(config, path, content=text))
    for file, path in STUDIES.items():
        found = File.generated(config, path, content=file.read_text())
        found.inclusion = InclusionLevel.NOT_IN_NAV  # a new one need not be in the navigation
        files.append(found)
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Turn links out of `docs/` into links to pages of the site, and links to source files into their names."""
    own = page.file.src_uri
    home = next((file for file, path in STUDIES.items() if path == own), ROOT / "docs" / own).parent

    def target(match: re.Match[str]) -> str:
        picture, text, link, anchor = match[1], match[2], match[3], match[4] or ""
        if re.match(r"[a-z]+:", link):
            return match[0]
        file = Path(os.path.normpath(home / link))
        if file in STUDIES:
            place = STUDIES[file]
        elif file == ROOT / "README.md":
            place = "index.md"
        elif file.is_relative_to(ROOT / "docs"):
            place = file.relative_to(ROOT / "docs").as_posix()
        else:
            return text if picture or not file.is_dir() else f"{text} (`{file.relative_to(ROOT)}`)"
        return f"{picture}[{text}]({os.path.relpath(place, Path(own).parent)}{anchor})"

    parts = _FENCE.split(markdown)
    return "".join(part if part.startswith(("```", "~~~")) else _LINK.sub(target, part) for part in parts)
