/** A picture of the last minutes, one line for each of a few columns, a point for each second. */

import { el, svg } from "./dom.js";

const HEIGHT = 100;
const LEAST = 0.001;
const STEPS = [1, 2, 5, 10];

export class Chart {
  /** series: pairs of a column of the history and what it is called. decades: each power of ten is as high as the next. */
  constructor(place, series, unit, { decades = false } = {}) {
    this.axisOf = decades ? decadesOf : evenlyOf;
    this.columns = series.map(([column]) => column);
    this.series = series;
    this.unit = unit;
    this.lines = series.map((_, index) => svg("path", { class: `line line-${index + 1}` }));
    this.grid = svg("path", { class: "grid" });
    this.picture = svg("svg", { role: "img", preserveAspectRatio: "none" }, this.grid, ...this.lines);
    this.scale = [el("span"), el("span"), el("span")];
    this.times = [el("span"), el("span"), el("span")];
    this.now = series.map(() => el("strong"));
    const legend = series.map(([, name], index) =>
      el("li", {}, el("span", { class: `mark mark-${index + 1}`, "aria-hidden": "true" }), this.now[index], ` ${name}`),
    );
    place.replaceChildren(
      el("ul", { class: "legend" }, ...legend),
      el(
        "div",
        { class: "plot" },
        el("div", { class: "scale", "aria-hidden": "true" }, ...this.scale),
        this.picture,
        el("div", { class: "times", "aria-hidden": "true" }, ...this.times),
      ),
    );
  }

  /** Draw the columns of the history; a null is a second of which nothing is known. */
  draw(history) {
    const columns = this.columns.map((column) => history[column]);
    const values = columns.flat().filter((value) => value !== null);
    const axis = this.axisOf(values);
    const width = history.seconds - 1;
    this.picture.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.picture.setAttribute("aria-label", this.#words(columns, Math.max(0, ...values)));
    this.grid.setAttribute("d", [1, HEIGHT / 2, HEIGHT - 1].map((y) => `M0 ${y}H${width}`).join(""));
    columns.forEach((values, index) => {
      this.lines[index].setAttribute("d", path(values, width, axis));
      this.now[index].textContent = number(values.at(-1) ?? null);
    });
    axis.marks.forEach((value, index) => { this.scale[index].textContent = number(value); });
    [width, width / 2, 0].forEach((ago, index) => {
      this.times[index].textContent = new Date((history.at - ago) * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    });
  }

  #words(columns, most) {
    const now = this.series.map(([, name], index) => `${name} ${number(columns[index].at(-1) ?? null)}`).join(", ");
    return `${this.unit}, now: ${now}; the most in ${columns[0].length} seconds: ${number(most)}`;
  }
}

/** The same in a line of text, of one column and without a scale. */
export class Strip {
  constructor(name, unit) {
    this.label = `${name}, ${unit}`;
    this.line = svg("path", { class: "line line-1" });
    this.picture = svg("svg", { role: "img", preserveAspectRatio: "none" }, this.line);
    this.now = el("span");
    this.place = el("div", { class: "strip" }, this.picture, this.now);
  }

  draw(values, seconds) {
    const known = values.filter((value) => value !== null);
    const now = number(values.at(-1) ?? null);
    this.picture.setAttribute("viewBox", `0 0 ${seconds - 1} ${HEIGHT}`);
    this.picture.setAttribute("aria-label", `${this.label}, now: ${now}; the most in ${values.length} seconds: ${number(Math.max(0, ...known))}`);
    this.line.setAttribute("d", path(values, seconds - 1, evenlyOf(known)));
    this.now.textContent = now;
  }
}

/** A path through the values, the last at the right edge. */
function path(values, width, axis) {
  const first = width + 1 - values.length;
  let drawn = "";
  let pen = false;
  values.forEach((value, index) => {
    if (value === null) {
      pen = false;
      return;
    }
    const y = (HEIGHT - 1 - axis.height(value) * (HEIGHT - 2)).toFixed(1);
    // A point between two gaps is a line of no length, which round ends make visible.
    drawn += pen ? `L${first + index} ${y}` : `M${first + index} ${y}h0`;
    pen = true;
  });
  return drawn;
}

/** An axis from 0: what is written at its top, middle and foot, and how high a value is, from 0 to 1. */
function evenlyOf(values) {
  const top = niceAbove(Math.max(0, ...values));
  return { marks: [top, top / 2, 0], height: (value) => value / top };
}

/** The same for values that differ by powers of ten. */
function decadesOf(values) {
  const low = Math.floor(Math.log10(Math.max(LEAST, Math.min(1, ...values))));
  const decades = Math.max(1, Math.ceil(Math.log10(Math.max(1, ...values))) - low);
  const high = low + decades + (decades % 2);
  const marks = [high, (high + low) / 2, low].map((power) => 10 ** power);
  return { marks, height: (value) => Math.max(0, (Math.log10(value) - low) / (high - low)) };
}

/** 1, 2 or 5 with zeros, not less than the value. */
function niceAbove(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return STEPS.map((step) => step * power).find((step) => step >= value);
}

const large = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const small = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

function number(value) {
  if (value === null) return "–";
  return value >= 100 ? large.format(value) : small.format(value);
}
