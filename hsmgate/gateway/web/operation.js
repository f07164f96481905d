/** One operation: what it takes and gives, and a form that sends it. */

import { el } from "./dom.js";
import { schemaView } from "./schema.js";

const SHOWN_CHARACTERS = 100_000;

/** A closed <details>; what is in it is drawn when it is opened first. */
export function operationView(operation, description, credential) {
  const view = el(
    "details",
    { id: operation.operationId, class: "card operation" },
    el(
      "summary",
      {},
      el("span", { class: `method ${operation.method}` }, operation.method.toUpperCase()),
      el("code", { class: "path" }, operation.path),
      el("span", { class: "said" }, operation.summary),
    ),
  );
  const fill = () => view.append(form(operation, credential), takes(operation, description), gives(operation, description));
  view.addEventListener("toggle", fill, { once: true });
  return view;
}

function bodyOf(operation) {
  return operation.requestBody?.content["application/json"] ?? null;
}

function takes(operation, description) {
  const body = bodyOf(operation);
  if (!body) return "";
  return el("div", {}, el("h3", {}, "What the body may have"), schemaView(body.schema, description));
}

function gives(operation, description) {
  const answers = Object.entries(operation.responses).map(([status, answer]) => {
    const schema = answer.content?.["application/json"]?.schema;
    return el("li", {}, el("code", {}, status), ` ${answer.description}`, schema ? schemaView(schema, description) : null);
  });
  return el("div", {}, el("h3", {}, "Answers"), el("ul", { class: "answers" }, ...answers));
}

function form(operation, credential) {
  const id = operation.operationId;
  const inputs = operation.parameters.map((parameter) => ({
    parameter,
    input: el("input", { id: `${id}-${parameter.name}`, type: "text", autocomplete: "off", spellcheck: "false", required: parameter.required }),
  }));
  const body = bodyOf(operation);
  const text = body && el("textarea", { id: `${id}-body`, rows: 8, spellcheck: "false", autocomplete: "off" });
  if (text) text.value = JSON.stringify(body.example ?? {}, null, 2);
  const answer = el("div", { class: "answer", role: "status", "aria-label": "Answer" });
  const sent = el(
    "form",
    { class: "fields", "aria-label": `Try ${operation.summary}` },
    ...inputs.flatMap(({ parameter, input }) => [
      el("label", { for: input.id }, el("code", {}, parameter.name), parameter.required ? " required" : ""),
      el("div", {}, input, parameter.description ? el("small", {}, parameter.description) : null),
    ]),
    ...(text ? [el("label", { for: text.id }, "Body"), text] : []),
    el("div", { class: "send" }, el("button", { type: "submit" }, "Send"), operation.security?.length === 0 ? "needs no credential" : ""),
  );
  sent.addEventListener("submit", async (event) => {
    event.preventDefault();
    const call = callOf(operation, inputs, text?.value, credential);
    if (operation.method === "delete" && !confirm(`${operation.summary}? This cannot be undone.`)) return;
    answer.replaceChildren("…");
    answer.replaceChildren(...(await send(call, credential)));
  });
  return el("div", {}, sent, answer);
}

/** Where to, how and what. Parameters that are left empty are left out. */
function callOf(operation, inputs, body, credential) {
  let path = operation.path;
  const query = new URLSearchParams();
  for (const { parameter, input } of inputs) {
    if (parameter.in === "path") path = path.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
    else if (input.value) query.set(parameter.name, input.value);
  }
  const url = new URL(path.slice(1), document.baseURI);
  url.search = query.toString();
  const authorization = operation.security?.length === 0 ? null : credential.header();
  const headers = { ...(body === undefined ? {} : { "Content-Type": "application/json" }) };
  if (authorization) headers.Authorization = authorization;
  return { url, method: operation.method.toUpperCase(), headers, body, open: operation.security?.length === 0 };
}

/** The answer, as elements. */
async function send(call, credential) {
  const { url, method, headers, body } = call;
  const curl = el("details", {}, el("summary", {}, "The same with curl"), el("pre", {}, curlOf(call, credential)));
  const begun = performance.now();
  try {
    const answer = await fetch(url, { method, headers, body, credentials: credential.mode(), cache: "no-store", redirect: "error" });
    const text = await answer.text();
    const took = Math.round(performance.now() - begun);
    const names = ["X-Request-Id", "Retry-After", "Allow"].filter((name) => answer.headers.has(name));
    return [
      el("p", {}, el("strong", { class: answer.ok ? "good" : "bad" }, `${answer.status} ${answer.statusText}`), ` in ${took} ms`),
      ...names.map((name) => el("p", {}, `${name}: ${answer.headers.get(name)}`)),
      el("pre", { tabindex: "0", "aria-label": "Body of the answer" }, shown(text)),
      curl,
    ];
  } catch (error) {
    return [el("p", { class: "bad" }, `It could not be sent: ${error.message}`), curl];
  }
}

function shown(text) {
  let better = text;
  try {
    better = JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    // It is plain text.
  }
  return better.length > SHOWN_CHARACTERS ? `${better.slice(0, SHOWN_CHARACTERS)} …` : better;
}

function curlOf({ url, method, body, open }, credential) {
  const parts = [`curl -X ${method} ${quoted(url.href)}`];
  if (!open) parts.push(credential.curl());
  if (body !== undefined) parts.push('-H "Content-Type: application/json"', `-d ${quoted(body)}`);
  return parts.join(" \\\n  ");
}

function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
