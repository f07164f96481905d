/** What a caller shows of himself. It is read from its field when a call is sent, and kept nowhere else. */

export class Credential {
  constructor(kind, field) {
    this.kind = kind;
    this.field = field;
    kind.addEventListener("change", () => this.#changed());
    // A page that is left may be kept whole, to be shown again when somebody goes back.
    addEventListener("pagehide", () => { field.value = ""; });
    this.#changed();
  }

  /** The Authorization header's value, null where there is none. */
  header() {
    const value = this.field.value.trim();
    return this.kind.value === "certificate" || !value ? null : `${this.kind.value} ${value}`;
  }

  /** fetch's `credentials`. Left out, a browser shows no certificate, and no dialog of its own after a 401. */
  mode() {
    return this.kind.value === "certificate" ? "same-origin" : "omit";
  }

  /** The option of curl that stands for it, without its value. */
  curl() {
    if (this.kind.value === "certificate") return "--cert cert.pem --key key.pem";
    return `-H "Authorization: ${this.kind.value} $${this.kind.value === "Basic" ? "API_KEY" : "TOKEN"}"`;
  }

  #changed() {
    this.field.value = "";
    this.field.disabled = this.kind.value === "certificate";
  }
}
