// Chat: ask, see the answer as it is written; below, what was said before, what it was about, what is known of the user.

import { call, post, stream } from "./api.js";
import { notify } from "./app.js";
import { el, table, time } from "./dom.js";
import { pages } from "./pages.js";
import { t } from "./words.js";

const newSession = () => `console-${crypto.getRandomValues(new Uint32Array(2)).join("-")}`;

export async function chat(page, signal) {
  let session = newSession();
  let writing = null;
  const user = el("input", { type: "text", value: "1", maxLength: 100, size: 12, id: "chat-user", ariaLabel: t("User") });
  const documents = el("input", { type: "checkbox", id: "chat-documents" });
  const message = el("textarea", { rows: 3, maxLength: 8000, id: "chat-message", ariaLabel: t("Message"), placeholder: t("Message") });
  const send = el("button", { type: "submit", className: "primary" }, t("Send"));
  const talk = el("div", { ariaLive: "polite", id: "talk" });
  const of = (path) => `/${path}/${encodeURIComponent(user.value.trim() || "1")}`;

  page.append(
    el("h1", {}, t("Chat")),
    el("div", { className: "bar" }, el("label", {}, t("User"), " ", user), el("label", {}, documents, " ", t("with my documents")),
      el("button", { type: "button", onclick: begin }, t("New conversation")),
      el("button", { type: "button", onclick: remember }, t("Remember this conversation"))),
    talk,
    el("form", { className: "talk", onsubmit: (event) => { event.preventDefault(); writing ? writing.abort() : say(); } }, message, send),
  );
  const lists = [
    section("Known of this user", () => `${of("memory")}?limit=25`, "memories", (items) => facts(items, forget)),
    section("Sessions", () => `${of("history")}/analysis?limit=10`, "sessions", sessions),
    section("Earlier messages", () => `${of("history")}?limit=10`, "conversations", history),
  ];
  const reload = () => Promise.all(lists.map((load) => load()));
  user.addEventListener("change", () => { begin(); reload(); });
  message.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); send.click(); }
  });
  signal.addEventListener("abort", () => writing?.abort());

  function section(title, path, name, render) {
    const place = el("details", { open: true }, el("summary", {}, t(title)));
    page.append(place);
    return pages(place, path, name, render, signal);
  }

  function begin() {
    writing?.abort();
    session = newSession();
    talk.replaceChildren();
    message.focus();
  }

  async function say() {
    const text = message.value.trim();
    if (!text) return;
    const answer = el("p", {});
    const foot = el("p", { className: "faint" }, "…");
    talk.append(el("div", { className: "card said" }, text), el("div", { className: "card" }, answer, foot));
    foot.scrollIntoView({ block: "nearest" });
    message.value = "";
    writing = new AbortController();
    send.textContent = t("Stop");
    const body = { user_id: user.value.trim() || "1", message: text, session_id: session };
    try {
      await stream("/chat", documents.checked ? { ...body, document_ids: [] } : body, (event) => {
        if (event.kind === "token") answer.append(event.data.text);
        if (event.kind === "end") foot.replaceChildren(...about(event.data));
        if (event.kind === "error") foot.replaceChildren(el("span", { className: "failed" }, event.data.message));
      }, writing.signal);
    } catch (error) {
      const stopped = writing.signal.aborted;
      foot.replaceChildren(el("span", { className: stopped ? "faint" : "failed" }, stopped ? t("stopped") : error.message));
    } finally {
      writing = null;
      send.textContent = t("Send");
    }
    if (!signal.aborted) setTimeout(reload, 1000); // it is logged a quarter of a second later
  }

  async function remember() {
    const { task_id: task } = await post("/memorize", { user_id: user.value.trim() || "1", session_id: session });
    await call(`/jobs/${task}?wait=20`, { signal });
    notify(`${t("Remember this conversation")} ✓`);
    await reload();
  }

  async function forget(item) {
    await call(`${of("memory")}/${item.id}`, { method: "DELETE" });
    await reload();
  }

  await reload();
}

const about = (said) => [
  `${said.model} · ${said.tokens.estimated ? "≈ " : ""}${said.tokens.prompt} + ${said.tokens.completion} ${t("tokens")} · `
    + `${said.response_time} ${t("seconds")} · `,
  el("a", { href: `#/jobs/${encodeURIComponent(said.background_task_id)}` }, t("Job")),
  said.citations.map((from, at) => el("span", {}, el("br", {}), `[${at + 1}] ${from.document_name} · ${t("page")} ${from.page}: ${from.passage}`)),
].flat();

const facts = (items, forget) => table([t("Fact"), t("Model"), t("Created"), ""], items.map((item) => [
  item.text, item.model, time(item.created_at),
  el("button", { type: "button", onclick: () => forget(item) }, t("delete")),
]), t("Nothing is known yet."));

const sessions = (items) => table([t("Session"), t("Topics"), t("Sentiment"), t("Open questions"), t("Model")], items.map((item) => [
  `${item.session_id} (${item.exchanges})`,
  item.analysis?.topics.join(", "),
  item.analysis && t(item.analysis.sentiment),
  item.analysis?.open_questions.map((question) => el("div", {}, question)),
  item.analysis?.model,
]), t("Nothing was said yet."));

const history = (items) => table([t("Created"), t("Message"), t("Answer"), t("tokens")], items.map((item) => [
  time(item.created_at), item.message, item.response, String(item.tokens),
]), t("Nothing was said yet."));
