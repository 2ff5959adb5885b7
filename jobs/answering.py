"""Answering: a question to a tenant's documents, with the passages that the answer rests on.

Not a job: a person waits for it. It never fails because a model does: without one, or when it fails, the answer is the
best sentences of the passages, and says so.
"""

import logging
from typing import TYPE_CHECKING
from uuid import uuid4

from jobs.domain.answers import Answer, Similarities, checked, extract, refusal, supporting
from jobs.domain.prompts import INSTRUCTIONS, declines, passages_prompt
from jobs.domain.usage import Usage
from jobs.providers.errors import ProviderError
from jobs.providers.llm import LanguageModel, Message
from jobs.providers.tokenizer import counted

if TYPE_CHECKING:
    from jobs.domain.chunks import Hit
    from jobs.providers.embedder import Embedder
    from jobs.services import Services

log = logging.getLogger(__name__)

_FOUND = 20
_MODEL_SOURCES = 6


def answer(services: "Services", tenant: str, question: str, document_id: int | None = None) -> Answer:
    """Answer a question from one document, or from all of the tenant's.

    What they do not hold is refused. The caller has checked that the document is the tenant's.
    """
    hits = services.search.search(tenant, question, document_id=document_id, limit=_FOUND)
    gate = services.embedder.gate
    sources = supporting(question, hits, gate)
    if services.llm is not None and (sources or (gate is None and hits)):
        # Where no gate is known for the vectors, the model itself judges what was found.
        written = _ask_model(services, services.llm, tenant, question, (sources or hits)[:_MODEL_SOURCES])
        if isinstance(written, Answer):
            return written
        return _quote(services, tenant, question, sources, model_error=written)
    if not sources:
        return refusal(question)  # and no model is loaded for nothing
    return _quote(services, tenant, question, sources)


def _quote(
    services: "Services", tenant: str, question: str, sources: "list[Hit]", model_error: str | None = None
) -> Answer:
    neighbours = services.search.neighbours(tenant, sources)
    return extract(question, sources, similarities(services.embedder, question), neighbours, model_error)


def _ask_model(
    services: "Services", llm: LanguageModel, tenant: str, question: str, sources: "list[Hit]"
) -> Answer | str:
    """Return the model's answer, or the code of why there is none; what it used is recorded."""
    turns = [Message("system", INSTRUCTIONS), Message("user", passages_prompt(question, sources))]
    try:
        completion = counted(llm.complete(turns), turns)
    except ProviderError as error:
        log.warning("the language model failed, answering with sentences: %s", error.code)
        return error.code
    usage = Usage(completion.prompt_tokens, completion.completion_tokens, completion.estimated)
    services.usage.record(None, tenant, None, llm.model, usage, "documents", uuid4().hex)
    if declines(completion.text):
        return refusal(question)
    return checked(completion.text, sources) or "model_cited_nothing"


def similarities(embedder: "Embedder", question: str) -> Similarities | None:
    """Return a function that compares texts with the question, or None if that would mean a remote call."""
    if not embedder.is_local:
        return None
    vector = embedder.encode_question(question)
    if vector is None:
        return None
    return lambda texts: [float(cosine) for cosine in embedder.encode(texts) @ vector]
