/** What /status shows in words: tokens, errors, keys, and which process says so. */

import { el } from "./dom.js";

/** stripOf: what pictures the rate of the token of that name. */
export function tokensView(tokens, stripOf) {
  const heads = ["Token", "State", "Signers", "Sessions", "In hand", "Waiting", "Items per second"];
  return table(heads, tokens.map((token) => [
    token.name,
    stateView(token),
    signersText(token),
    token.sessions,
    token.in_flight,
    token.waiting,
    stripOf(token.name).place,
  ]));
}

function stateView({ up, drained, required, why }) {
  const state = drained ? "drained" : up ? "up" : "down";
  const kind = drained || !(up || required) ? "warn" : up ? "good" : "bad";
  return el("span", { class: kind }, state, why === null ? "" : `: ${why}`, required || drained ? "" : " (not required)");
}

function signersText({ signers, wanted }) {
  const there = Object.entries(signers).filter(([, count]) => count > 0);
  const missing = wanted - there.reduce((sum, [, count]) => sum + count, 0);
  const said = there.map(([state, count]) => `${count} ${state}`);
  if (missing > 0) said.push(`${missing} missing`);
  return said.join(", ");
}

/** Where the newest config, which is not in force, has its mistakes. */
export function refusedView(places) {
  if (!places.length) return [];
  return [el("p", {}, `The newest config is refused: ${places.join(", ")}. The one before is in force; the log says what is wrong.`)];
}

export function errorsView(errors) {
  if (!errors.length) return el("p", {}, "None.");
  return table(["What", "Token", "How often", "Last"], errors.map((error) => [
    error.what,
    error.token ?? "–",
    error.count,
    new Date(error.last * 1000).toLocaleTimeString(),
  ]));
}

export function keysView(keys) {
  const kinds = Object.entries(keys);
  if (!kinds.length) return el("p", {}, "None.");
  return el("ul", { class: "kinds" }, ...kinds.map(([kind, count]) => el("li", {}, el("strong", {}, String(count)), ` ${kind}`)));
}

export function processText({ version, uptime_seconds, process, config_taken_over_at }) {
  const said = [`hsmgate ${version}`, `up for ${durationText(uptime_seconds)}`];
  if (process.of > 1) said.push(`this is process ${process.number} of ${process.of}, and the figures are its own`);
  said.push(`config taken over on ${new Date(config_taken_over_at * 1000).toLocaleString()}`);
  return `${said.join(" · ")}.`;
}

function durationText(seconds) {
  const parts = [[Math.floor(seconds / 86400), "d"], [Math.floor(seconds / 3600) % 24, "h"], [Math.floor(seconds / 60) % 60, "min"]];
  const from = parts.findIndex(([count]) => count > 0);
  if (from < 0) return `${Math.floor(seconds)} s`;
  return parts.slice(from, from + 2).map(([count, unit]) => `${count} ${unit}`).join(" ");
}

function table(heads, rows) {
  return el(
    "table",
    {},
    el("thead", {}, el("tr", {}, ...heads.map((head) => el("th", { scope: "col" }, head)))),
    el("tbody", {}, ...rows.map(([first, ...rest]) =>
      el("tr", {}, el("th", { scope: "row" }, first), ...rest.map((cell) => el("td", {}, cell instanceof Node ? cell : String(cell)))),
    )),
  );
}
