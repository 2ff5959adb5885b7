"""Canvas files in the ways that applications write them."""

import json
from typing import Any

from hypothesis import strategies as st

OBSIDIAN = """{
\t"nodes":[
\t\t{"id":"8132d4d894c80022","type":"text","text":"# 极限\\n\\n函数在一点附近的行为 👩‍🏫","x":-280,"y":-200,"width":570,"height":560,"color":"1"},
\t\t{"id":"7efdbbe0c4742315","type":"file","file":"笔记/导数.md","subpath":"#定义","x":-280,"y":-440,"width":217,"height":80,"color":"6"},
\t\t{"id":"59e896bc8da20699","type":"text","text":"A \\u6781\\u9650, as a program would write it","styleAttributes":{"textAlign":"center","border":null},"x":40.0,"y":-44e1,"width":250,"height":160,"color":"#FFaa00"},
\t\t{"id":"0ba565e7f30e0652","type":"link","url":"https://example.com/?q=1","x":360,"y":-400,"width":400,"height":400},
\t\t{"id":"group00000000001","x":-400,"y":-500,"width":1300,"height":1000,"type":"group","label":"微积分","backgroundStyle":"ratio"}
\t],
\t"edges":[
\t\t{"id":"6fa11ab87f90b8af","fromNode":"7efdbbe0c4742315","fromSide":"right","toNode":"59e896bc8da20699","toSide":"left"},
\t\t{"id":"1111111111111111","styleAttributes":{},"fromNode":"8132d4d894c80022","fromSide":"top","toNode":"0ba565e7f30e0652","toSide":"bottom","toEnd":"none","label":"参考"}
\t],
\t"metadata":{"version":"1.0-1.0","frontmatter":{}}
}"""  # noqa: E501 - as Obsidian writes it

TEXT_NODE = {"id": "new", "type": "text", "text": "新 card", "x": 1, "y": 2, "width": 3, "height": 4}


def dumps(data: Any, indent: int | str | None, spaced: bool, ascii_only: bool, crlf: bool) -> str:
    """Return data as JSON, in one of many layouts."""
    separators = (", " if spaced and indent is None else ",", ": " if spaced else ":")
    text = json.dumps(data, indent=indent, separators=separators, ensure_ascii=ascii_only)
    return text.replace("\n", "\r\n") if crlf else text


_texts = st.text('aé中👩\u200d\u2028\x00\x7f\n\t/"\\{}[],:', max_size=20)
_places = st.integers(-9999, 9999)
_extras = st.dictionaries(st.sampled_from(["a", "é", 'q"', "\\"]), st.none() | _places | _texts | st.lists(_texts))


@st.composite
def canvases(draw: st.DrawFn) -> dict[str, Any]:
    """Canvases as data: nodes of all types, edges between them, members that the specification does not know."""
    ids = draw(st.lists(st.text("0123456789abcdef中", min_size=1, max_size=4), unique=True, max_size=6))
    nodes = []
    for node_id in ids:
        kind = draw(st.sampled_from(["text", "file", "link", "group"]))
        content = {"text": {"text": draw(_texts)}, "file": {"file": "a.md"}, "link": {"url": "x:"}, "group": {}}[kind]
        place = {name: abs(draw(_places)) for name in ("x", "y", "width", "height")}
        nodes.append({"id": node_id, "type": kind, **content, **place, **draw(_extras)})
    canvas: dict[str, Any] = {"nodes": nodes} if nodes or draw(st.booleans()) else {}
    if ids:
        ends = draw(st.lists(st.tuples(st.sampled_from(ids), st.sampled_from(ids)), max_size=6))
        canvas["edges"] = [{"id": f"e{n}", "fromNode": one, "toNode": two} for n, (one, two) in enumerate(ends)]
    if draw(st.booleans()):
        canvas = dict(reversed(list(canvas.items()))) | {"metadata": {"nodes": []}}
    return canvas


@st.composite
def files(draw: st.DrawFn) -> tuple[dict[str, Any], str]:
    """Canvases as data, and as one of the files that hold it."""
    data = draw(canvases())
    indent = draw(st.sampled_from([None, 0, 2, 4, "\t"]))
    return data, dumps(data, indent, draw(st.booleans()), draw(st.booleans()), draw(st.booleans()))
