// The console: an address after `#` names a view; each view fills the page, and is stopped when another one comes.

import { onKeyNeeded, storeKey, storedKey } from "./api.js";
import { chat } from "./chat.js";
import { el } from "./dom.js";
import { documents } from "./documents.js";
import { job, jobs } from "./jobs.js";
import { notifications } from "./notifications.js";
import { report, research } from "./research.js";
import { service } from "./service.js";
import { language, setLanguage, t } from "./words.js";

const VIEWS = { jobs, documents, chat, research, notifications, service };
const DETAILS = { jobs: job, research: report };
const NAMES = {
  jobs: "Jobs", documents: "Documents", chat: "Chat", research: "Research", notifications: "Notifications",
  service: "Service",
};
const $ = (id) => document.getElementById(id);
let leaving = new AbortController();

export function notify(text) {
  $("notice").textContent = text;
  $("notice").hidden = false;
  clearTimeout(notify.timer);
  notify.timer = setTimeout(() => { $("notice").hidden = true; }, 8000);
}

async function show() {
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const [, name, id] = location.hash.split("/");
  const current = VIEWS[name] ? name : "jobs";
  frame(current);
  const page = el("section", {});
  $("main").replaceChildren(page);
  try {
    await (DETAILS[current] && id ? DETAILS[current](page, decodeURIComponent(id), signal) : VIEWS[current](page, signal));
  } catch (error) {
    if (!signal.aborted) page.append(el("p", { className: "failed" }, error.message));
  }
}

function frame(current) {
  document.documentElement.lang = language();
  document.title = `Offstage · ${t(NAMES[current])}`;
  $("nav").replaceChildren(...Object.entries(NAMES).map(([name, text]) =>
    el("a", { href: `#/${name}`, ...(name === current ? { ariaCurrent: "page" } : {}) }, t(text))));
  $("language").textContent = language() === "zh" ? "English" : "中文";
  $("key").textContent = storedKey() ? t("Forget key") : t("API key");
  $("login-label").textContent = t("Your API key");
  $("login-cancel").textContent = t("Cancel");
  $("login-ok").textContent = t("Log in");
}

function askForKey() {
  const dialog = $("login");
  if (!dialog.open) {
    dialog.returnValue = "";
    $("login-key").value = "";
    dialog.showModal();
  }
  return new Promise((done) => dialog.addEventListener("close", () => {
    const given = dialog.returnValue === "ok" && $("login-key").value.trim();
    if (given) storeKey(given);
    $("key").textContent = storedKey() ? t("Forget key") : t("API key");
    done(Boolean(given));
  }, { once: true }));
}

onKeyNeeded(askForKey);
addEventListener("hashchange", show);
addEventListener("unhandledrejection", (event) => {
  if (event.reason?.name !== "AbortError") notify(event.reason?.message ?? String(event.reason));
  event.preventDefault();
});
$("language").addEventListener("click", () => { setLanguage(language() === "zh" ? "en" : "zh"); show(); });
$("key").addEventListener("click", async () => {
  if (storedKey()) storeKey(""); else await askForKey();
  show();
});
show();
