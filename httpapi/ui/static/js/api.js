// Calls of the API.
import { h, withQuery } from './dom.js';
import * as session from './session.js';

// A Problem is an answer that is an error (RFC 9457), or no answer.
export class Problem extends Error {
  constructor(status, body, requestID) {
    super(body.detail || `The server answered ${status}.`);
    this.status = status;
    this.code = body.code || `http_${status}`;
    this.fields = body.errors ?? [];
    this.requestID = body.request_id || requestID || '';
    this.retryAfter = body.retry_after;
    this.body = body;
  }
}

const ended = new EventTarget();
export const onSessionEnd = (f) => ended.addEventListener('end', f);

// checked turns an answer that is an error into a Problem. When it says that
// the session is over, so it is.
function checked(status, text, requestID, sent) {
  if (status >= 200 && status < 300) return;
  let body = {};
  try { body = JSON.parse(text); } catch { /* of a proxy, perhaps: the status must do */ }
  const problem = new Problem(status, body, requestID);
  if (sent && status === 401 && (problem.code === 'invalid_token' || problem.code === 'authentication_required')) {
    session.end();
    ended.dispatchEvent(new Event('end'));
  }
  throw problem;
}

const unreachable = () => new Problem(0, { code: 'unreachable', detail: 'The server cannot be reached.' });

async function send(method, address, { query, body, headers, signal, anonymous } = {}) {
  const all = { Accept: 'application/json', ...headers };
  const token = anonymous ? null : session.token();
  if (token) all.Authorization = `Bearer ${token}`;
  if (body !== undefined) all['Content-Type'] = 'application/json';
  let answer;
  try {
    answer = await fetch(withQuery(address, query), {
      method, headers: all, signal, cache: 'no-store', credentials: 'same-origin',
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    throw error.name === 'AbortError' ? error : unreachable();
  }
  if (!answer.ok) checked(answer.status, await answer.text(), answer.headers.get('X-Request-ID'), token);
  return answer;
}

// call returns the JSON of an answer, null for one without a body.
export async function call(method, address, options) {
  const answer = await send(method, address, options);
  return answer.status === 204 ? null : answer.json();
}

// text returns an answer that is no JSON.
export async function text(address, signal) {
  const answer = await send('GET', address, { signal, headers: { Accept: 'text/plain' } });
  return answer.text();
}

export const get = (address, query, signal) => call('GET', address, { query, signal });
export const post = (address, body, query) => call('POST', address, { body, query });
export const del = (address, query) => call('DELETE', address, { query });

// tagged returns the JSON of an answer and its ETag.
export async function tagged(method, address, options) {
  const answer = await send(method, address, options);
  return { value: await answer.json(), etag: answer.headers.get('ETag') };
}

// download lets the browser save an answer. The token goes in a header, which a
// plain link could not send.
export async function download(address, query, name, accept) {
  const answer = await send('GET', address, { query, headers: accept ? { Accept: accept } : {} });
  const given = /filename="([^"]+)"/.exec(answer.headers.get('Content-Disposition') ?? '');
  save(await answer.blob(), given?.[1] ?? name);
}

function save(blob, name) {
  const url = URL.createObjectURL(blob);
  const link = h('a', { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

// upload sends a package and tells how much has gone. fetch cannot do that.
export function upload(file, { distribution, component }, onprogress, signal) {
  const form = new FormData();
  form.set('distribution', distribution);
  form.set('component', component);
  form.set('file', file, 'package.deb');
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open('POST', '/upload/');
    const token = session.token();
    request.setRequestHeader('Authorization', `Bearer ${token}`);
    request.upload.addEventListener('progress', (e) => onprogress(e.loaded, e.total));
    request.addEventListener('error', () => reject(unreachable()));
    request.addEventListener('abort', () => reject(new DOMException('aborted', 'AbortError')));
    request.addEventListener('load', () => {
      try {
        checked(request.status, request.responseText, request.getResponseHeader('X-Request-ID'), token);
        resolve(JSON.parse(request.responseText));
      } catch (error) { reject(error); }
    });
    signal?.addEventListener('abort', () => request.abort());
    request.send(form);
  });
}
