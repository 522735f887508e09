"""Links of the documentation to files outside `docs/` lead to the repository on the built site."""

import re
from pathlib import Path, PurePosixPath
from typing import Any

OUTSIDE = re.compile(r"\]\((?P<ups>(?:\.\./)+)(?P<path>[^)#]+)")


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    """Replace relative links that leave the folder of the documentation."""
    folder = PurePosixPath(page.file.src_uri).parent

    def absolute(link: re.Match[str]) -> str:
        ups = link["ups"].count("/")
        if ups != len(folder.parts) + 1:
            return link[0]
        root = Path(config["docs_dir"]).parent
        kind = "tree" if (root / link["path"]).is_dir() else "blob"
        return f"]({config['repo_url']}/{kind}/main/{link['path']}"

    return OUTSIDE.sub(absolute, markdown)
