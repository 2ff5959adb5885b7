// The service: whether it is ready, its queues and workers, what its jobs take, its schedules.

import { get } from "./api.js";
import { el, state, table, time } from "./dom.js";
import { watch } from "./pages.js";
import { t } from "./words.js";

export async function service(page, signal) {
  const place = el("div", {});
  page.append(el("h1", {}, t("Service")), place);
  const look = async () => {
    const [ready, queues, model, stats, schedules] = await Promise.all(
      ["/readyz", "/queues", "/model", "/job-stats", "/schedules?limit=50"].map((path) => get(path, signal).catch((error) => ({ error }))));
    place.replaceChildren(...ready_(ready), ...queues_(queues), ...model_(model), ...stats_(stats), ...schedules_(schedules));
    return [];
  };
  await watch(look, () => true, signal, 3);
}

const wrong = ({ error }) => el("p", { className: "failed" }, error.message);

const ready_ = (answer) => answer.error ? [wrong(answer)] : [el("p", {}, t("Ready"), ": ",
  Object.entries(answer.checks).map(([name, fine]) => [state(fine ? "ok" : "failed", name), " "]))];

const queues_ = (answer) => [el("h2", {}, t("Queues")), answer.error ? wrong(answer) : table(
  [t("Queue"), t("queued"), t("running"), t("scheduled"), t("Oldest waits"), t("A minute"), t("Workers"), t("Busy")],
  answer.queues.map((queue) => [queue.name, queue.queued, queue.running, queue.scheduled,
    queue.oldest_seconds === null || queue.oldest_seconds === undefined ? "" : `${Math.round(queue.oldest_seconds)} ${t("seconds")}`,
    queue.ended_per_minute, queue.workers.count, queue.workers.busy]), "")];

const BREAKER_CLASS = { closed: "ok", half_open: "running", open: "failed" };

const model_ = (answer) => [el("h2", {}, t("Language model")), answer.error ? wrong(answer)
  : !answer.model ? el("p", { className: "faint" }, t("None is set up: answers are built in."))
  : el("p", {}, answer.model, " · ", t("calls"), ` ${answer.running}/${answer.limit}`, " · ", t("waiting"), ` ${answer.waiting}`, " · ",
    t("circuit breaker"), ` ${answer.endpoint} `, state(BREAKER_CLASS[answer.breaker], t(answer.breaker)),
    answer.tries_in ? ` ${t("tries again in")} ${Math.round(answer.tries_in)} ${t("seconds")}` : "")];

const stats_ = (answer) => [el("h2", {}, t("Job types")), answer.error ? wrong(answer) : table(
  [t("Type"), t("Count"), t("Failed"), "p50, s", "p95, s"],
  answer.job_types.map((kind) => [kind.type, kind.count, kind.failures, kind.p50_seconds, kind.p95_seconds]), t("No figures yet."))];

const schedules_ = (answer) => [el("h2", {}, t("Schedules")), answer.error ? wrong(answer) : table(
  [t("Name"), t("Type"), t("Next"), t("Last")],
  answer.schedules.map((each) => [each.name, each.type, time(each.next_run?.planned_at), time(each.last_run?.at)]), t("No schedules."))];
