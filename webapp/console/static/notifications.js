// Notifications: what was sent, by which channel, and what became of it.

import { get } from "./api.js";
import { el, state, table, time } from "./dom.js";
import { pages, watch } from "./pages.js";
import { t } from "./words.js";

const CHANNEL_CLASS = { outbox: "running", ready: "ok", stopped: "failed" };

export async function notifications(page, signal) {
  const { channels } = await get("/channels", signal);
  page.append(el("h1", {}, t("Notifications")), el("p", {}, Object.entries(channels).map(([name, each]) =>
    [name, ": ", state(CHANNEL_CLASS[each.state], t(each.state)), " ", each.reason ?? "", " "])));
  if (Object.values(channels).every((each) => each.state === "outbox")) {
    page.append(el("p", { className: "faint" }, t("Nothing left this machine: no channel is set up, the messages are here.")));
  }
  const reload = pages(page, () => "/notifications?limit=25", "notifications", render, signal);
  await watch(reload, () => true, signal, 5);
}

const message = (each) => el("details", {},
  el("summary", {}, each.subject || each.text.slice(0, 60)),
  el("p", { className: "faint" }, each.recipient, " ", each.error ?? ""),
  el("pre", {}, each.text));

const render = (items) => table([t("User"), t("Event"), t("Channels"), t("Created")], items.map((item) => [
  item.user_id,
  item.event_type ?? "",
  item.deliveries.map((each) => el("div", {}, each.channel, ": ", state(each.state, t(each.state)), " ",
    el("span", { className: "faint" }, each.reason ?? ""), message(each))),
  time(item.created_at),
]), t("Nothing was sent yet."));
