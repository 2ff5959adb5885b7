// A list of the API, page by page.

import { get } from "./api.js";
import { el } from "./dom.js";
import { t } from "./words.js";

// Show `path`'s list under `name` with `render(items)`; a button fetches more. Returns a function that reads it anew.
export function pages(place, path, name, render, signal) {
  let items = [];
  let cursor = null;
  const more = el("button", { type: "button", hidden: true, onclick: () => load(cursor) }, t("More"));
  const list = el("div", {});
  place.append(list, more);

  async function load(after) {
    const address = new URL(path(), location.origin);
    if (after) address.searchParams.set("cursor", after);
    const page = await get(address.pathname + address.search, signal);
    items = after ? [...items, ...page[name]] : page[name];
    cursor = page.next_cursor;
    more.hidden = !cursor;
    list.replaceChildren(render(items));
    return items;
  }

  return () => load(null);
}

// Call `look` now and every few seconds while `needed` says so, until the view is left or hidden.
export async function watch(look, needed, signal, seconds = 2) {
  for (;;) {
    const items = await look();
    if (signal.aborted) return;
    await new Promise((done) => setTimeout(done, 1000 * (needed(items) ? seconds : 5 * seconds)));
    while (document.hidden && !signal.aborted) await new Promise((done) => setTimeout(done, 1000));
    if (signal.aborted) return;
  }
}
