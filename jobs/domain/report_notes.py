"""What research says of itself, in its own language: while it runs, and in its report of what failed or was cut."""

from jobs.domain.research import Language, Note

_TOLD: dict[str, dict[Language, str]] = {
    "planning": {"en": "Planning the questions.", "zh": "正在规划问题。"},
    "searching": {"en": "Looking up {count} questions.", "zh": "正在搜索 {count} 个问题。"},
    "documents_searched": {
        "en": "Searched the documents for “{question}”: {count} passages.",
        "zh": "已在文档中搜索“{question}”：{count} 段。",
    },
    "web_searched": {
        "en": "Searched the web for “{question}”: {count} pages read.",
        "zh": "已在网络上搜索“{question}”：读取 {count} 个网页。",
    },
    "writing": {"en": "Writing: {question}", "zh": "正在撰写：{question}"},
    "summing_up": {"en": "Summing up.", "zh": "正在总结。"},
    "done": {"en": "The report is complete.", "zh": "报告已完成。"},
}
_NOTES: dict[str, dict[Language, str]] = {
    "source_failed": {
        "en": "{what} could not be used ({reason}).",
        "zh": "{what} 未能使用（{reason}）。",
    },
    "web_failed": {
        "en": "The web search for “{question}” failed ({reason}).",
        "zh": "“{question}”的网络搜索失败（{reason}）。",
    },
    "documents_failed": {
        "en": "The search of the documents for “{question}” failed ({reason}).",
        "zh": "“{question}”的文档搜索失败（{reason}）。",
    },
    "nothing_found": {"en": "Nothing was found on “{question}”.", "zh": "没有找到关于“{question}”的内容。"},
    "searches_cut": {
        "en": "{left} of {planned} searches were left out: the budget allows {budget}.",
        "zh": "预算只允许 {budget} 次搜索，省略了 {planned} 次中的 {left} 次。",
    },
    "search_late": {
        "en": "“{question}” was not looked up: the time was up.",
        "zh": "时间已到，没有搜索“{question}”。",
    },
    "out_of_time": {
        "en": "“{question}” ends where the time was up.",
        "zh": "“{question}”在时间用完处中断。",
    },
    "cut_off": {
        "en": "“{question}” ends where the tokens for a section did.",
        "zh": "“{question}”在每节的词元上限处中断。",
    },
    "uncited": {"en": "“{question}” names no source.", "zh": "“{question}”没有注明来源。"},
    "canceled": {
        "en": "The research was canceled here: what follows was not written.",
        "zh": "研究在此处被取消：后面的内容没有写完。",
    },
    "failed": {
        "en": "The research failed here ({reason}): what follows was not written.",
        "zh": "研究在此处失败（{reason}）：后面的内容没有写完。",
    },
}


# Why the language model has not written something, and what there is in its place.
_REASONS: dict[str, dict[Language, str]] = {
    "tokens_cut": {"en": "the budget of {budget} tokens did not allow more", "zh": "{budget} 个词元的预算不够"},
    "time_cut": {"en": "the time was up", "zh": "时间已到"},
    "model_failed": {"en": "the language model failed ({reason})", "zh": "语言模型出错（{reason}）"},
}
_INSTEAD: dict[str, dict[Language, str]] = {
    "plan": {"en": "The questions were derived from the query: {why}.", "zh": "问题由查询直接得出：{why}。"},
    "section": {"en": "“{question}” quotes its sources: {why}.", "zh": "“{question}”直接引用来源：{why}。"},
    "summary": {"en": "There is no summary: {why}.", "zh": "没有总结：{why}。"},
}
_CODES = {"plan": "plan_failed", "summary": "not_summed_up"}  # of a section it is that of the reason

WAITING: dict[Language, str] = {
    "en": "Waiting for the language model, which does not answer: next try in {seconds} s.",
    "zh": "语言模型没有响应，正在等待：{seconds} 秒后重试。",
}


def note(code: str, language: Language, **values: object) -> Note:
    """Return a note in words; the values are what its text names."""
    return Note(code=code, text=_NOTES[code][language].format(**values))


def unwritten(what: str, code: str, language: Language, **values: object) -> Note:
    """Return a note on what the model has not written, `plan`, `section` or `summary`, for the reason of that code."""
    why = _REASONS[code][language].format(**values)
    return Note(code=_CODES.get(what, code), text=_INSTEAD[what][language].format(why=why, **values))


def told(code: str, language: Language, **values: object) -> str:
    """Return what is told while research goes on."""
    return _TOLD[code][language].format(**values)
