"""Words of a text, as the lexical index holds them, and the telling ones of a question.

Chinese and Japanese have no spaces: a run of such characters becomes its single characters and its pairs. Everything
else becomes whole words in lower case, without stemming. Tokens hold letters and digits only, so no token can be taken
for an operator of a query language.
"""

import re
import unicodedata

MAX_TOKEN_CHARS = 40
MAX_QUERY_CHARS = 10_000

_HAN = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_RUN = re.compile(f"([{_HAN}]+)|([^\\W_{_HAN}]+)")

_STOP_WORDS = """
a about all also am an and any are as at be been being but by can could did do does doing down for from had has have
having he her here him his how i if in into is it its just many me more most much my no nor not of off on or other our
out over own please s same she should so some such t tell than that the their them then there these they this those
through to too under up us very was we were what when where which while who whom whose why will with would you your
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())
# Characters that make questions and grammar: they part the words of a topic.
STOP_CHARACTERS = frozenset(
    "的了吗呢吧啊么什怎哪谁几是在和与及或就都也很还又被把让给对从到这那其之于以而且但若则您你我他她它们请问"
)


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


def content_terms(question: str) -> list[str]:
    """Return the distinct tokens of a question that tell its topic, in order.

    A question of nothing but grammar words gives all its tokens, so that it still finds something.
    """
    text = _normal(question[:MAX_QUERY_CHARS])
    terms: dict[str, None] = {}
    for run, word in _RUN.findall(text):
        if word and word not in STOP_WORDS:
            terms[word[:MAX_TOKEN_CHARS]] = None
        for part in filter(None, re.split(_STOPS, run)):
            terms.update(dict.fromkeys(_pairs(part) or [part]))
    return list(terms) or list(dict.fromkeys(tokens(text)))


def is_han(character: str) -> bool:
    """Say whether a character belongs to a script that is written without spaces."""
    return _IS_HAN.match(character) is not None


def _normal(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _pairs(run: str) -> list[str]:
    return [run[i : i + 2] for i in range(len(run) - 1)]


_STOPS = f"[{''.join(sorted(STOP_CHARACTERS))}]+"
_IS_HAN = re.compile(f"[{_HAN}]")
