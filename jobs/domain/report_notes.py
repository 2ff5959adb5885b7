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
    "tokens_cut": {
        "en": "“{question}” quotes its sources: the budget of {budget} tokens did not allow to have it written.",
        "zh": "“{question}”直接引用来源：{budget} 个词元的预算不足以撰写。",
    },
    "time_cut": {
        "en": "“{question}” quotes its sources: the time was up before it was written.",
        "zh": "“{question}”直接引用来源：撰写之前时间已到。",
    },
    "model_failed": {
        "en": "“{question}” quotes its sources: the language model failed ({reason}).",
        "zh": "“{question}”直接引用来源：语言模型出错（{reason}）。",
    },
    "not_summed_up": {"en": "There is no summary: {reason}", "zh": "没有总结：{reason}"},
    "cut_off": {
        "en": "“{question}” ends where the tokens for a section did.",
        "zh": "“{question}”在每节的词元上限处中断。",
    },
    "uncited": {"en": "“{question}” names no source.", "zh": "“{question}”没有注明来源。"},
    "plan_failed": {
        "en": "The questions were derived from the query: the language model did not plan them ({reason}).",
        "zh": "语言模型未能制定计划（{reason}），问题由查询直接得出。",
    },
    "canceled": {
        "en": "The research was canceled here: what follows was not written.",
        "zh": "研究在此处被取消：后面的内容没有写完。",
    },
    "failed": {
        "en": "The research failed here ({reason}): what follows was not written.",
        "zh": "研究在此处失败（{reason}）：后面的内容没有写完。",
    },
}


WAITING: dict[Language, str] = {
    "en": "Waiting for the language model, which does not answer: next try in {seconds} s.",
    "zh": "语言模型没有响应，正在等待：{seconds} 秒后重试。",
}


def note(code: str, language: Language, **values: object) -> Note:
    """Return a note in words; the values are what its text names."""
    return Note(code=code, text=_NOTES[code][language].format(**values))


def told(code: str, language: Language, **values: object) -> str:
    """Return what is told while research goes on."""
    return _TOLD[code][language].format(**values)
