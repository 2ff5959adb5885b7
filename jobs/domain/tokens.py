"""Words of a text, as the lexical index holds them, and the telling ones of a question.

Chinese and Japanese have no spaces: a run of such characters becomes its single characters and its pairs. Everything
else becomes whole words in lower case, without stemming. Tokens hold letters and digits only, so no token can be taken
for an operator of a query language.
"""

import re
import unicodedata

MAX_TOKEN_CHARS = 40
MAX_QUERY_CHARS = 10_000
MAX_RUN_CHARS = 200

_HAN = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_RUN = re.compile(f"((?:(?!\\W)[{_HAN}])+)|([^\\W_{_HAN}]+)")  # the ranges hold signs too: not those

_STOP_WORDS = """
a about all also am an and any are as at be been being but by can could did do does doing down for from had has have
having he her here him his how i if in into is it its just many me more most much my no nor not of off on or other our
out over own please s same she should so some such t tell than that the their them then there these they this those
through to too under up us very was we were what when where which while who whom whose why will with would you your
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())
# What makes questions and grammar in Chinese: it parts the words of a topic. Longer phrases come first.
_STOP_PHRASES = """
为什么 有没有 是不是 能不能 可不可以 怎么样 怎么办 怎么 怎样 如何 什么 多少 多久 多长 多大 多远 至少 最多 是否 能否 可以
应该 需要 哪里 哪儿 哪些 哪个 哪一 请问 一下 我们 你们 您们 他们 它们 这个 那个 这些 那些 以及 或者 并且
"""
_STOP_CHARACTERS = "的了吗呢吧啊么什怎哪谁几是在和与及或就都也很还又被把让给对从到这那其之于而且但若则您你我他她它要"
_PLEASE = "(?<![申邀聘])请(?![求假教示])"  # not in 申请 and the like
_GRAMMAR = re.compile(f"{'|'.join(_STOP_PHRASES.split())}|{_PLEASE}|[{_STOP_CHARACTERS}]")
_NAME = re.compile(r"(?<![.?!:\"'“‘(])\s([A-Z][a-z]+(?:[A-Z][a-z]+)*)\b")
_CALENDAR = """
monday tuesday wednesday thursday friday saturday sunday january february march april may june july august september
october november december
"""
_NO_NAMES = STOP_WORDS.union(_CALENDAR.split())


def tokens(text: str) -> list[str]:
    """Return every token of a text in order, repeats included."""
    found: list[str] = []
    for run, word in _RUN.findall(_normal(text)):
        if run:
            found.extend(run)
            found.extend(_pairs(run))
        else:
            found.append(word[:MAX_TOKEN_CHARS])
    return found


def content_parts(question: str) -> list[str]:
    """Return the distinct words and unspaced runs of a question that tell its topic, in order.

    A question of nothing but grammar gives all its parts, so that it still finds something.
    """
    runs = _RUN.findall(_normal(question[:MAX_QUERY_CHARS]))
    telling = [part for run, word in runs for part in ([word] if word else _GRAMMAR.split(run))]
    kept = [part[:MAX_RUN_CHARS] for part in telling if part and part not in STOP_WORDS]
    return list(dict.fromkeys(kept or [run or word for run, word in runs]))


def content_terms(question: str) -> list[str]:
    """Return the distinct tokens that a question is searched by, in order."""
    terms = (term for part in content_parts(question) for term in part_terms(part))
    return list(dict.fromkeys(terms))


def names(question: str) -> list[str]:
    """Return the capitalised words of a question that is not written in capitals throughout, but its first word.

    Days and months are none: a text may speak of weekdays instead. Neither are abbreviations: it may spell them out.
    """
    question = question[:MAX_QUERY_CHARS]
    words = [word for word in question.split() if _normal(word).strip("?.!,") not in STOP_WORDS]
    if all(word[0].isupper() for word in words):
        return []
    return [name for name in map(str.casefold, _NAME.findall(question)) if name.removesuffix("s") not in _NO_NAMES]


def part_terms(part: str) -> list[str]:
    """Return the tokens that stand for a part of a question: a word itself, the pairs of a run."""
    return (_pairs(part) or [part]) if is_han(part[0]) else [part[:MAX_TOKEN_CHARS]]


def stem(word: str) -> str:
    """Return an English word without its plural or verb ending, so that two forms of it compare equal."""
    for ending in ("ing", "ed", "es", "s"):
        if word.isascii() and word.endswith(ending) and len(word) - len(ending) >= 3:
            return word.removesuffix(ending)
    return word.removesuffix("e") if word.isascii() and len(word) > 3 else word


def is_han(character: str) -> bool:
    """Say whether a character belongs to a script that is written without spaces."""
    return _IS_HAN.match(character) is not None


def count_han(text: str) -> int:
    """Return how many characters of a text belong to such a script."""
    return len(_IS_HAN.findall(text))


def _normal(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _pairs(run: str) -> list[str]:
    return [run[i : i + 2] for i in range(len(run) - 1)]


_IS_HAN = re.compile(f"[{_HAN}]")
