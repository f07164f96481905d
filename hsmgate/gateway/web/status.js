/** GET /status: asks /status.json again and again, and shows what it says. */

import { el } from "./dom.js";
import { Chart, Strip } from "./chart.js";
import { errorsView, keysView, processText, refusedView, tokensView } from "./tables.js";

const EVERY_MS = 1000;
const CALMLY_MS = 10_000;
const AFTER_FAILURE_MS = 3000;
const PATIENCE_MS = 5000;
const STRIP_SECONDS = 120;

const calm = matchMedia("(prefers-reduced-motion: reduce)");
const place = (id) => document.getElementById(id);
const charts = [
  new Chart(place("rate"), [["ok", "signed or verified"], ["failed", "failed"]], "items per second"),
  new Chart(place("latency"), [["p50_ms", "half took at most"], ["p99_ms", "99 % took at most"]], "milliseconds", { decades: true }),
  new Chart(place("waiting"), [["waiting", "waiting"]], "items"),
];
const columns = charts.flatMap((chart) => chart.columns);

const VIEWS = {
  problems: (problems) => problems.map((problem) => el("li", {}, problem)),
  config_refused: refusedView,
  tokens: (tokens) => tokensView(tokens, stripOf),
  errors: errorsView,
  keys: keysView,
};
const shown = new Map();
const strips = new Map();

let history = null;
let timer = null;
let paused = false;

/** Ask once, show it, and ask again later. */
async function look() {
  clearTimeout(timer);
  let next = calm.matches ? CALMLY_MS : EVERY_MS;
  try {
    const status = await ask();
    if (paused) return;
    keep(status);
    show(status);
    told("");
  } catch (error) {
    const since = history === null ? "" : ` What is shown is of ${new Date(history.at * 1000).toLocaleTimeString()}.`;
    told(`The gateway does not answer (${error.message}).${since}`);
    next = AFTER_FAILURE_MS;
  }
  if (!paused && !document.hidden) timer = setTimeout(look, next);
}

async function ask() {
  const since = history === null ? "" : `?since=${history.last}`;
  const answer = await fetch(`status.json${since}`, {
    credentials: "omit",
    cache: "no-store",
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
  if (!answer.ok) throw new Error(String(answer.status));
  const status = await answer.json();
  if (history !== null && history.instance !== status.instance) {
    // Another process answered: what it remembers is another history.
    history = null;
    return ask();
  }
  return status;
}

/** Join what came to what is there, up to the length of the history. More may come than was asked for. */
function keep({ history: news, instance, now }) {
  const overlap = history === null ? 0 : history.last - (news.last - news.ok.length);
  const join = (before, after) => [...before.slice(0, Math.max(0, before.length - overlap)), ...after].slice(-news.seconds);
  const joined = { instance, at: now, last: news.last, seconds: news.seconds };
  for (const column of columns) {
    const before = history === null ? [] : history[column];
    joined[column] = join(before, news[column]);
  }
  joined.tokens = {};
  for (const [name, rates] of Object.entries(news.tokens)) joined.tokens[name] = join(history?.tokens[name] ?? [], rates);
  history = joined;
}

function stripOf(name) {
  if (!strips.has(name)) strips.set(name, new Strip(name, "items per second"));
  return strips.get(name);
}

function show(status) {
  const heading = status.ready ? "Ready" : "Not ready";
  if (place("ready").textContent !== heading) place("ready").textContent = heading;
  document.title = `${heading} · hsmgate`;
  place("ready").className = status.ready ? "good" : "bad";
  place("process").textContent = processText(status);
  for (const chart of charts) chart.draw(history);
  for (const [part, view] of Object.entries(VIEWS)) renew(part, status[part], view);
  for (const [name, rates] of Object.entries(history.tokens)) stripOf(name).draw(rates.slice(-STRIP_SECONDS), STRIP_SECONDS);
}

/** Draw a part anew only where it has changed: somebody may be reading it, or have it read out. */
function renew(part, value, view) {
  const text = JSON.stringify(value);
  if (shown.get(part) !== text) place(part).replaceChildren(...[view(value)].flat());
  shown.set(part, text);
}

function told(text) {
  place("lost").hidden = text === "";
  if (place("lost").textContent !== text) place("lost").textContent = text;
}

place("pause").addEventListener("click", () => {
  paused = !paused;
  place("pause").setAttribute("aria-pressed", String(paused));
  if (!paused) look();
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && !paused) look();
});

look();
