/** JSON Schema as nested lists of members: name, type, whether it must be there, what is said of it. */

import { el } from "./dom.js";

/** The schema's members, or its type in words where it has none. */
export function schemaView(schema, description, seen = []) {
  const { name, found } = resolved(schema, description);
  if (name !== null && seen.includes(name)) return el("p", {}, `${name}, as above`);
  const inside = name === null ? seen : [...seen, name];
  if (found.type === "array") return el("div", {}, el("p", {}, "array of"), schemaView(found.items, description, inside));
  const members = Object.entries(found.properties ?? {});
  const required = found.required ?? [];
  return el(
    "div",
    { class: "schema" },
    found.description && members.length ? el("p", {}, found.description) : null,
    members.length
      ? el("ul", { class: "members" }, ...members.map(([member, its]) => memberView(member, its, required, description, inside)))
      : null,
    members.length || found.oneOf ? null : el("p", {}, typeText(found)),
    alternatives(found, description, inside),
  );
}

function memberView(member, schema, required, description, seen) {
  const { found } = resolved(schema, description);
  const nested = found.properties || (found.type === "array" && resolved(found.items, description).found.properties);
  return el(
    "li",
    {},
    el("code", {}, member),
    " ",
    el("span", { class: "type" }, typeText(found)),
    required.includes(member) ? el("strong", {}, " required") : null,
    found.description && !nested ? ` ${found.description}` : null,
    nested ? schemaView(schema, description, seen) : null,
  );
}

/** What `oneOf` leaves to choose: between members, or between forms. */
function alternatives(schema, description, seen) {
  const choices = [schema, ...(schema.allOf ?? [])].map((part) => part.oneOf).filter(Boolean);
  if (!choices.length) return null;
  return el("div", {}, ...choices.map((choice) => choiceView(choice, description, seen)));
}

function choiceView(choice, description, seen) {
  if (choice.every((form) => form.required?.length === 1 && Object.keys(form.properties ?? {}).length === 1)) {
    return el("p", {}, `Exactly one of ${choice.map((form) => form.required[0]).join(", ")}.`);
  }
  return el(
    "div",
    {},
    el("p", {}, "One of:"),
    el("ul", { class: "members" }, ...choice.map((form) => el("li", {}, schemaView(form, description, seen)))),
  );
}

/** A schema behind its reference and without the null that stands for an absent member, and the name it has. */
function resolved(schema, description) {
  let found = schema;
  let name = null;
  for (;;) {
    if (found.$ref) {
      name = found.$ref.split("/").pop();
      found = description.components.schemas[name];
    } else if (found.anyOf?.some((one) => one.type === "null")) {
      found = found.anyOf.find((one) => one.type !== "null");
    } else {
      return { name, found };
    }
  }
}

function typeText(schema) {
  if ("const" in schema) return JSON.stringify(schema.const);
  const words = [schema.type ?? []].flat().filter((type) => type !== "null");
  if (schema.enum) return schema.enum.filter((one) => one !== null).map((one) => one || '""').join(", ");
  if (schema.contentEncoding) words.push(schema.contentEncoding);
  if (schema.format) words.push(schema.format);
  if (schema.type === "array" && schema.items.type) words.push(`of ${schema.items.type}`);
  if ("minimum" in schema) words.push(`from ${schema.minimum}`);
  if ("maximum" in schema) words.push(`to ${schema.maximum}`);
  if ("maxLength" in schema) words.push(`up to ${schema.maxLength} characters`);
  return words.join(", ") || "anything";
}
