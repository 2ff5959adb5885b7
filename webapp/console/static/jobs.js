// Jobs: the list, and one job live.

import { call, follow, get, post } from "./api.js";
import { notify } from "./app.js";
import { el, facts, json, state, table, time } from "./dom.js";
import { pages, watch } from "./pages.js";
import { t } from "./words.js";

const STATES = ["queued", "scheduled", "waiting", "running", "retrying", "paused", "completed", "failed", "canceled"];
const ENDED = ["completed", "failed", "canceled"];
const LEGAL = {
  cancel: ["queued", "scheduled", "retrying", "waiting", "paused", "running"],
  pause: ["queued", "scheduled", "retrying", "waiting", "running"],
  resume: ["paused"],
  requeue: ["failed"],
  delete: ENDED,
};
const SHOWN_EVENTS = 500;

export async function jobs(page, signal) {
  const choice = el("select", { ariaLabel: t("State"), onchange: () => reload() },
    el("option", { value: "" }, t("All")), STATES.map((word) => el("option", { value: word }, t(word))));
  page.append(el("h1", {}, t("Jobs")), el("div", { className: "bar" }, choice));
  const reload = pages(page, () => `/jobs?limit=25${choice.value && `&state=${choice.value}`}`, "jobs", render, signal);
  await watch(reload, (items) => items.some((item) => !ENDED.includes(item.state)), signal);
}

const render = (items) => table([t("Type"), t("State"), t("Progress"), t("Queue"), t("Created")], items.map((item) => [
  el("a", { href: `#/jobs/${encodeURIComponent(item.id)}` }, item.description || item.type || item.id),
  state(item.state, t(item.state)),
  item.progress ? `${item.progress.percent} % ${item.progress.message}` : "",
  item.queue,
  time(item.created_at),
]), t("No jobs yet."));

export async function job(page, id, signal) {
  const path = `/jobs/${encodeURIComponent(id)}`;
  const about = el("div", {});
  const log = el("pre", { tabIndex: 0, ariaLabel: t("Events") });
  page.append(el("p", {}, el("a", { href: "#/jobs" }, t("Back to the list"))), about, el("h2", {}, t("Events")), log);
  const look = async () => about.replaceChildren(...describe(await get(path, signal), act));
  const act = async (name) => {
    if (name === "delete") {
      if (!confirm(t("Delete this job?"))) return;
      await call(path, { method: "DELETE" });
      location.hash = "#/jobs";
      return;
    }
    await post(`${path}/${name}`);
    notify(`${t(name)} ✓`);
    await look();
  };
  await look();
  let due = false;
  const lookSoon = () => {  // a talkative job is not read anew for each of its words
    if (due) return;
    due = true;
    setTimeout(() => { due = false; look().catch(() => {}); }, 300);
  };
  const lines = [];
  await follow(`${path}/events`, (event) => {
    lines.push(line(event));
    log.textContent = lines.slice(-SHOWN_EVENTS).join("\n");
    log.scrollTop = log.scrollHeight;
    lookSoon();
  }, signal);
  await look();
}

const line = ({ kind, data }) => `${kind}  ${typeof data === "string" ? data : JSON.stringify(data)}`;

const describe = (view, act) => [
  el("h1", {}, view.description || view.type, " ", state(view.state, t(view.state))),
  el("div", { className: "bar" }, Object.keys(LEGAL).filter((name) => LEGAL[name].includes(view.state))
    .map((name) => el("button", { type: "button", "data-act": name, onclick: () => act(name) }, t(name)))),
  view.progress && el("progress", { max: 100, value: view.progress.percent, ariaLabel: t("Progress") }),
  el("div", { className: "card" }, facts([
    ["id", view.id], [t("Queue"), view.queue], [t("Progress"), view.progress?.message], [t("Attempt"), view.attempt],
    [t("Waits for"), view.waits_for && [view.waits_for.reason, ...view.waits_for.ids].join(" ")],
    [t("About to start in"), view.expected_start_seconds && `${Math.round(view.expected_start_seconds)} ${t("seconds")}`],
    [t("Created"), time(view.created_at)], [t("Started"), time(view.started_at)], [t("Ended"), time(view.ended_at)],
    [t("Next attempt"), time(view.next_attempt_at)], [t("Worker"), view.worker],
    [t("Error"), view.error && `${view.error.code}: ${view.error.message}`],
  ])),
  ...(view.attempts.length ? [el("h2", {}, t("Attempts")), table(["#", t("Error"), t("seconds"), t("Worker")],
    view.attempts.map((each) => [each.number, `${each.code}: ${each.message}`, each.seconds, each.worker]), "")] : []),
  ...(view.result === null ? [] : [el("h2", {}, t("Result")), json(view.result)]),
].filter(Boolean);
