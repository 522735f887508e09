// Requests with the token, and the poll: one request at a time, each a second after the last answer.

const NAME = "typedbus-token";
const TIMEOUT = 8000;
const PAUSE = 1000;
const PAUSE_HIDDEN = 5000;
const PAUSES_GONE = [1000, 2000, 3000];

export class Refused extends Error {}

let token = "";

// The fragment leaves the address at once, so that neither history nor bookmarks keep the token.
export function takeToken() {
  const given = decoded(location.hash.slice(1));
  if (!given || given === "sections") return false;
  history.replaceState(null, "", location.pathname + location.search);
  useToken(given);
  return true;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export function useToken(text) {
  token = text;
  try {
    sessionStorage.setItem(NAME, text);
  } catch {
    // A browser that stores nothing asks again after a reload.
  }
}

export function rememberToken() {
  try {
    token = token || sessionStorage.getItem(NAME) || "";
  } catch {
    token = "";
  }
}

export async function request(path, method = "GET") {
  const options = { method, cache: "no-store", credentials: "omit", headers: {}, signal: AbortSignal.timeout(TIMEOUT) };
  try {
    options.headers["X-Typedbus-Token"] = token;
    new Headers(options.headers);
  } catch {
    throw new Refused("The token has characters that no token has.");
  }
  const answer = await fetch(`api/v1/${path}`, options);
  if (answer.status === 401) throw new Refused(token ? "The process does not accept this token." : "The process wants a token.");
  if (answer.status === 304) return null;
  const data = await answer.json();
  if (!answer.ok) throw new Error(data.error ?? `the process answered with status ${answer.status}`);
  return data;
}

export class Poll {
  #timer = 0;
  #busy = false;
  #again = false;
  #failures = 0;

  // ask() returns the path; got(data or null), failed(error) and refused(error) get the outcome.
  constructor({ ask, got, failed, refused }) {
    Object.assign(this, { ask, got, failed, refused });
    document.addEventListener("visibilitychange", () => document.hidden || this.now());
    addEventListener("online", () => this.now());
  }

  // Ask now; during a request, right after it.
  now() {
    clearTimeout(this.#timer);
    if (this.#busy) this.#again = true;
    else this.#turn();
  }

  async #turn() {
    this.#busy = true;
    this.#again = false;
    let pause = document.hidden ? PAUSE_HIDDEN : PAUSE;
    try {
      const data = await request(this.ask());
      this.#failures = 0;
      this.got(data);
    } catch (error) {
      if (error instanceof Refused) {
        this.refused(error);
        pause = null;
      } else {
        pause = Math.max(pause, PAUSES_GONE[Math.min(this.#failures++, PAUSES_GONE.length - 1)]);
        this.failed(error);
      }
    }
    this.#busy = false;
    if (this.#again) this.#turn();
    else if (pause !== null) this.#timer = setTimeout(() => this.#turn(), pause);
  }
}
