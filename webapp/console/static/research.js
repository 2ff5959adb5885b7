// Research: ask, watch the report being written, read those that are there.

import { call, file, follow, get, post } from "./api.js";
import { notify } from "./app.js";
import { el, state, table, time } from "./dom.js";
import { markdown } from "./markdown.js";
import { pages, watch } from "./pages.js";
import { t } from "./words.js";

const ENDED = ["completed", "failed", "canceled"];
const LEGAL = { pause: ["queued", "running"], resume: ["paused"], cancel: ["queued", "running", "paused"], delete: ENDED };
const address = (id) => `/research/${encodeURIComponent(id)}`;

export async function research(page, signal) {
  const query = el("input", { type: "text", maxLength: 4000, required: true, placeholder: t("A question to look into"), ariaLabel: t("Question") });
  const search = el("input", { type: "search", maxLength: 200, placeholder: t("Search"), ariaLabel: t("Search"), onchange: () => reload() });
  page.append(
    el("h1", {}, t("Research")),
    el("form", { className: "bar", onsubmit: (event) => { event.preventDefault(); ask(); } },
      query, el("button", { type: "submit", className: "primary" }, t("Look into it"))),
    el("div", { className: "bar" }, search),
  );
  const reload = pages(page, () => `/research?limit=25&q=${encodeURIComponent(search.value)}`, "research", render, signal);

  async function ask() {
    if (!query.value.trim()) return;
    const { task_id: id } = await post("/research", { query: query.value });
    location.hash = `#/research/${encodeURIComponent(id)}`;
  }

  await watch(reload, (items) => items.some((item) => !ENDED.includes(item.status)), signal);
}

const render = (items) => table([t("Question"), t("State"), t("Model"), t("Created")], items.map((item) => [
  el("a", { href: `#${address(item.id)}` }, item.title || item.query),
  state(item.status, t(item.status)),
  item.model,
  time(item.created_at),
]), t("No research yet."));

export async function report(page, id, signal) {
  const head = el("div", {});
  const text = el("article", { className: "card report", ariaLive: "off" });
  page.append(el("p", {}, el("a", { href: "#/research" }, t("Back to the list"))), head, text);
  const pieces = [];
  const look = async () => head.replaceChildren(...describe(await get(address(id), signal), act));
  const act = async (name) => {
    if (name === "delete") {
      if (!confirm(t("Delete this report?"))) return;
      await call(address(id), { method: "DELETE" });
      location.hash = "#/research";
      return;
    }
    await post(`/jobs/${encodeURIComponent(id)}/${name}`);
    notify(`${t(name)} ✓`);
    await look();
  };
  await look();
  const lookSoon = once(300, () => look().catch(() => {}));
  const show = once(50, () => text.replaceChildren(...markdown(pieces.join(""))));
  await follow(`${address(id)}/events`, ({ kind, data }) => {
    if (kind === "output") {  // piece `n` takes the place of all from the n-th on
      pieces.length = data.n;
      pieces.push(data.text);
      show();
    } else {
      lookSoon();
    }
  }, signal);
  await look();
  if (!signal.aborted) text.replaceChildren(...markdown((await get(address(id), signal)).report));
}

// A function that calls `act` once, a moment after it was asked to, however often it was.
function once(milliseconds, act) {
  let due = false;
  return () => {
    if (due) return;
    due = true;
    setTimeout(() => { due = false; act(); }, milliseconds);
  };
}

const describe = (run, act) => [
  el("h1", {}, run.query, " ", state(run.status, t(run.status))),
  el("div", { className: "bar" },
    Object.keys(LEGAL).filter((name) => LEGAL[name].includes(run.status))
      .map((name) => el("button", { type: "button", "data-act": name, onclick: () => act(name) }, t(name))),
    ["markdown", "pdf"].map((form) => el("button", { type: "button", "data-form": form, onclick: () => save(run.links[form]) },
      form === "pdf" ? "PDF" : "Markdown"))),
  !ENDED.includes(run.status) && el("progress", { max: 100, value: run.percentage, ariaLabel: t("Progress") }),
  el("p", { className: "faint", role: "status" }, run.error ?? run.messages.at(-1) ?? "", ` · ${run.model}`),
].filter(Boolean);

async function save(path) {
  const url = URL.createObjectURL(await file(path));
  el("a", { href: url, download: path.split("/").slice(-2).join("-") }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
