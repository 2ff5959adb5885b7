// Elements from plain data. Texts are set as text: nothing that a job or a document says is ever read as HTML.

import { language } from "./words.js";

export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && name !== "list") element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const table = (heads, rows, empty) => rows.length
  ? el("table", {}, el("thead", {}, el("tr", {}, heads.map((head) => el("th", { scope: "col" }, head)))),
    el("tbody", {}, rows.map((cells) => el("tr", {}, cells.map((cell) => el("td", {}, cell ?? ""))))))
  : el("p", { className: "faint" }, empty);

export const facts = (pairs) => el("dl", {}, pairs
  .filter(([, value]) => value !== null && value !== undefined && value !== "")
  .map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));

export const state = (word, shown = word) => el("span", { className: `state ${word}` }, shown);

export const time = (text) => text ? el("time", { dateTime: text, title: text }, new Date(text).toLocaleString(language())) : "";

export const json = (value) => el("pre", {}, JSON.stringify(value, null, 2));
