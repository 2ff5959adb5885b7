"""Research: answer a question from many sources, in a report that is written live.

Plan, search (a job for each source of each question), write section by section, list the sources. Each part is a step:
what is done is not done again after a pause, a retry or a crash.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from jobs.calling import Call, complete
from jobs.core.context import JobContext
from jobs.core.live_text import LiveText, pieces_of
from jobs.core.spec import Failure, job
from jobs.domain.chat import BUILT_IN
from jobs.domain.report_notes import note, told
from jobs.domain.reports import SourceList, head, note_lines, source_lines
from jobs.domain.research import PLAN, Content, Findings, Language, Note, Plan, PlanInput, derived, tidied
from jobs.providers.errors import ProviderError
from jobs.providers.llm import Message
