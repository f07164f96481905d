/** GET /docs: draws openapi.json, and sends calls from it. */

import { el } from "./dom.js";
import { Credential } from "./credential.js";
import { operationView } from "./operation.js";

const METHODS = ["get", "post", "put", "patch", "delete"];

const place = document.getElementById("operations");
const credential = new Credential(document.getElementById("credential-kind"), document.getElementById("credential"));

async function draw() {
  const answer = await fetch("openapi.json", { credentials: "same-origin", cache: "no-cache" });
  if (!answer.ok) throw new Error(`openapi.json: ${answer.status}`);
  const description = await answer.json();
  document.getElementById("version").textContent = description.info.version;
  document.getElementById("about").textContent = description.info.description;
  place.replaceChildren(...groups(description).map(([tag, operations]) => group(tag, operations, description)));
  openLinked();
  addEventListener("hashchange", openLinked);
}

/** Operations by their first tag, in the document's order. */
function groups(description) {
  const found = new Map(description.tags.map((tag) => [tag.name, []]));
  for (const [path, item] of Object.entries(description.paths)) {
    for (const method of METHODS.filter((method) => method in item)) {
      const operation = item[method];
      const parameters = [...(item.parameters ?? []), ...(operation.parameters ?? [])];
      found.get(operation.tags[0]).push({ ...operation, path, method, parameters });
    }
  }
  return [...found];
}

function group(tag, operations, description) {
  const title = `tag-${tag.toLowerCase()}`;
  return el(
    "section",
    { "aria-labelledby": title },
    el("h2", { id: title }, tag),
    ...operations.map((operation) => operationView(operation, description, credential)),
  );
}

/** Open the operation that the address names after its #. */
function openLinked() {
  const linked = document.getElementById(location.hash.slice(1));
  if (linked instanceof HTMLDetailsElement) {
    linked.open = true;
    linked.scrollIntoView();
  }
}

draw().catch((error) => place.replaceChildren(el("p", { role: "alert" }, `The description could not be had: ${error.message}`)));
