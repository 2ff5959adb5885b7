// Documents: give some, watch them being read, ask them.

import { call, post } from "./api.js";
import { notify } from "./app.js";
import { el, state, table, time } from "./dom.js";
import { pages, watch } from "./pages.js";
import { t } from "./words.js";

export async function documents(page, signal) {
  const file = el("input", { type: "file", multiple: true, ariaLabel: t("File") });
  const question = el("input", { type: "text", maxLength: 4000, placeholder: t("A question"), ariaLabel: t("Question") });
  const which = el("select", { ariaLabel: t("Documents") });
  const reply = el("div", { ariaLive: "polite" });
  const upload = el("button", { type: "button", className: "primary", onclick: () => give() }, t("Upload"));
  page.append(
    el("h1", {}, t("Documents")),
    el("div", { className: "bar" }, file, upload),
    el("form", { className: "bar", onsubmit: (event) => { event.preventDefault(); ask(); } },
      question, which, el("button", { type: "submit" }, t("Ask"))),
    reply,
  );
  const reload = pages(page, () => "/documents?limit=25", "documents", show, signal);

  function show(items) {
    const chosen = which.value;
    const read = items.filter((item) => item.status === "completed");
    which.replaceChildren(el("option", { value: "" }, t("All documents")),
      ...read.map((item) => el("option", { value: item.id, selected: String(item.id) === chosen }, item.filename)));
    return render(items, drop);
  }

  async function give() {
    upload.disabled = true;
    try {
      for (const each of file.files) {
        const form = new FormData();
        form.append("file", each);
        await call("/upload", { method: "POST", form });
      }
      file.value = "";
    } finally {
      upload.disabled = false;
      await reload();
    }
  }

  async function drop(item) {
    if (!confirm(t("Delete this document?"))) return;
    await call(`/documents/${item.id}`, { method: "DELETE" });
    notify(`${t("delete")} ✓`);
    await reload();
  }

  async function ask() {
    if (!question.value.trim()) return;
    reply.replaceChildren(el("p", { className: "faint" }, "…"));
    try {
      reply.replaceChildren(answer(await post("/ask", { question: question.value, document_id: which.value ? Number(which.value) : null })));
    } catch (error) {
      reply.replaceChildren(el("p", { className: "failed" }, error.message));
    }
  }

  await watch(reload, (items) => items.some((item) => item.status === "processing"), signal);
}

const answer = (said) => el("div", { className: "card" },
  el("p", {}, said.refused && el("strong", {}, t("Not answered"), ": "), said.answer),
  said.citations.map((from) => el("p", { className: "faint" }, `${from.document_name} · ${t("page")} ${from.page}: ${from.passage}`)));

const render = (items, drop) => table([t("File"), t("State"), t("Pages"), t("Size"), t("Created"), ""], items.map((item) => [
  item.filename,
  [state(item.status, t(item.status)), item.error_message && el("div", { className: "faint" }, item.error_message)],
  item.pages || "",
  `${(item.size / 1024).toFixed(0)} KiB`,
  time(item.created_at),
  [el("a", { href: `#/jobs/${encodeURIComponent(item.job_id)}` }, t("job")), " ",
    el("button", { type: "button", onclick: () => drop(item) }, t("delete"))],
]), t("No documents yet."));
