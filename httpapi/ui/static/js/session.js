// The session: a token in memory and, so that a reload keeps it, in the tab's
// sessionStorage. The comment of the Go package ui says why there.

const KEY = 'repod.session';
const levels = { viewer: 1, uploader: 2, auditor: 3, maintainer: 4, admin: 5 };

let session = load();
let user = null;

function load() {
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEY));
    return kept && kept.until > Date.now() ? kept : null;
  } catch {
    return null;
  }
}

export const token = () => session?.token ?? null;
export const me = () => user;
export const roles = Object.keys(levels);

export function begin(answer) {
  session = { token: answer.access_token, until: Date.now() + answer.expires_in * 1000 };
  user = null;
  sessionStorage.setItem(KEY, JSON.stringify(session));
}

export function end() {
  session = user = null;
  sessionStorage.clear();
}

export function setUser(answer) { user = answer; }

// can reports whether the user has a role. It decides what is offered; what is
// allowed is the server's to say.
export const can = (role) => (user?.roles ?? []).some((r) => levels[r] >= levels[role]);
