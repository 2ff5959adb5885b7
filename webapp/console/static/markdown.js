// Reports in Markdown as elements: headings, lists, paragraphs. All text is set as text; only addresses become links.

import { el } from "./dom.js";

const HEADING = /^(#{1,3}) (.*)$/;
const ITEM = /^(?:(\d+)\.|[-*+]) (.*)$/;
const ADDRESS = /<(https?:\/\/[^\s<>]+)>/;

export function markdown(text) {
  const blocks = [];
  let list = null;
  for (const line of text.split("\n")) {
    const item = ITEM.exec(line);
    const heading = HEADING.exec(line);
    if (item) {
      const tag = item[1] ? "ol" : "ul";
      if (list?.localName !== tag) blocks.push(list = el(tag, {}));
      list.append(el("li", {}, inline(item[2])));
      continue;
    }
    list = null;
    if (heading) blocks.push(el(`h${heading[1].length + 1}`, {}, plain(heading[2])));
    else if (line.trim()) blocks.push(el("p", {}, inline(line)));
  }
  return blocks;
}

function inline(text) {
  const found = ADDRESS.exec(text);
  if (!found) return emphasized(text);
  const link = el("a", { href: found[1], rel: "noopener noreferrer", target: "_blank" }, found[1]);
  return [emphasized(text.slice(0, found.index)), link, emphasized(text.slice(found.index + found[0].length))];
}

const emphasized = (text) => /^\*[^*]+\*$/.test(text) ? el("em", {}, plain(text.slice(1, -1))) : plain(text);

const plain = (text) => text.replace(/\\([!-/:-@[-`{-~])|&lt;/g, (sign, escaped) => escaped ?? "<");
