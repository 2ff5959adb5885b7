// Notifications: what was sent, by which channel, and what became of it.

import { el, state, table, time } from "./dom.js";
import { pages, watch } from "./pages.js";
import { t } from "./words.js";

export async function notifications(page, signal) {
  page.append(el("h1", {}, t("Notifications")));
  const reload = pages(page, () => "/notifications?limit=25", "notifications", render, signal);
  await watch(reload, () => true, signal, 5);
}

const render = (items) => table([t("User"), t("Event"), t("Channels"), t("Created")], items.map((item) => [
  item.user_id,
  item.event_type ?? "",
  item.deliveries.map((each) => el("div", {}, each.channel, ": ", state(each.state, t(each.state)), " ",
    el("span", { className: "faint" }, each.reason ?? ""))),
  time(item.created_at),
]), t("Nothing was sent yet."));
