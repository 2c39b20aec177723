// Parts that pages are made of.
import { h, put, newID, withQuery } from './dom.js';
import { adviceFor } from './advice.js';
import { severities, time, tone, words } from './format.js';

export const panel = (title, ...children) => h('section', { class: 'panel' }, title && h('h2', {}, title), children);

export const heading = (text, ...actions) =>
  h('div', { class: 'row ends' }, h('h1', { tabindex: '-1' }, text), actions.length > 0 && h('div', { class: 'row' }, actions));

export const link = (href, ...children) => h('a', { href }, children);

export const button = (text, click, kind = '') => h('button', { type: 'button', class: kind, click }, text);

export const badge = (word, kind = tone(word)) => h('span', { class: `badge ${kind}` }, words(word));

export const empty = (text) => h('p', { class: 'empty' }, text);

export const loading = (text = 'Loading …') => h('p', { class: 'busy soft', role: 'status' }, text);

// outside is a link to another site, from data; what is no web address is text.
export const outside = (url) =>
  (/^https?:\/\//i.test(url) ? h('a', { href: url, rel: 'noopener noreferrer', target: '_blank' }, url) : h('span', {}, url));

// trouble shows an error: what happened, what to do, and how to name it to
// those who run the server.
export function trouble(error, retry) {
  if (!error.code) console.error(error); // a fault of the console's own
  const known = error.code ?? 'console_error';
  const advice = adviceFor(known);
  const wait = error.retryAfter ? ` Wait ${error.retryAfter} s.` : '';
  return h('div', { class: 'box bad', role: 'alert' },
    h('p', {}, h('strong', {}, error.message || 'Something went wrong.')),
    error.fields?.length > 0 && h('ul', {}, error.fields.map((f) => h('li', {}, `${f.field}: ${f.message}`))),
    (advice || wait) && h('p', {}, advice + wait),
    h('p', { class: 'small soft' }, 'Code ', h('code', {}, known), error.requestID && [', request ', h('code', {}, error.requestID)]),
    retry && button('Try again', retry));
}

// later shows what load returns once it is there; an error has a button to
// try again.
export function later(load) {
  const place = h('div', {}, loading());
  const run = async () => {
    put(place, loading());
    try {
      put(place, await load());
    } catch (error) {
      if (error.name !== 'AbortError') put(place, trouble(error, run));
    }
  };
  run();
  return place;
}

// notice tells of something that went well, or not, for some seconds.
export function notice(text, kind = 'good') {
  const close = () => box.remove();
  const box = h('div', { class: `box ${kind}` }, h('div', { class: 'row ends' }, h('span', {}, text), button('Close', close, 'small')));
  document.getElementById('notices').append(box);
  setTimeout(close, 12_000);
}

// attempt runs what a button does; the button rests meanwhile.
export async function attempt(event, work) {
  const pressed = event.currentTarget;
  pressed.disabled = true;
  try {
    await work();
  } catch (error) {
    if (error.name !== 'AbortError') report(error);
  } finally {
    pressed.disabled = false;
  }
}

export function report(error) {
  const box = trouble(error);
  box.append(button('Close', () => box.remove()));
  document.getElementById('notices').append(box);
}

// table shows rows. A column is {head, cell(row), num, act, long}.
export function table(caption, columns, rows, none = 'Nothing here.') {
  if (rows.length === 0) return empty(none);
  const kind = (c) => (c.num ? 'num' : c.act ? 'act' : c.long ? 'long' : null);
  return h('div', { class: 'scroll', role: 'region', 'aria-label': caption, tabindex: '0' },
    h('table', {},
      h('caption', {}, caption),
      h('thead', {}, h('tr', {}, columns.map((c) => h('th', { scope: 'col', class: kind(c) }, c.head)))),
      h('tbody', {}, rows.map((row) => h('tr', {}, columns.map((c) => h('td', { class: kind(c) }, c.cell(row))))))));
}

export const facts = (pairs) =>
  h('dl', { class: 'facts' }, pairs.filter(Boolean).map(([name, value]) =>
    (value === '' || value === false || value === null || value === undefined ? null : [h('dt', {}, name), h('dd', {}, value)])));

export const tile = (name, value, note) => h('div', { class: 'tile' }, name, h('strong', {}, value), note && h('span', { class: 'soft small' }, note));

// counts shows numbers of findings.
export function counts(c) {
  if (!c.scanned) return badge('not scanned', '');
  const found = severities.filter((s) => c[s] > 0);
  return found.length === 0 ? badge('none', 'good') : found.map((s) => h('span', { class: `badge ${tone(s)}` }, `${c[s]} ${s}`));
}

// pager leads to the other pages of a listing.
export function pager(ctx, page) {
  if (page.total === 0) return null;
  const to = (n, text) => (n < 1 || n > page.pages ? h('span', { class: 'soft' }, text) : link(withQuery(ctx.address, { ...ctx.query, page: n }), text));
  return h('nav', { 'aria-label': 'Pages', class: 'row' },
    to(page.page - 1, '← Previous'), h('span', {}, `Page ${page.page} of ${Math.max(page.pages, 1)}, ${page.total} in all`), to(page.page + 1, 'Next →'));
}

// copyable is text with a button that copies it.
export function copyable(text, label = 'Copy') {
  const copy = async (event) => attempt(event, async () => {
    try {
      await navigator.clipboard.writeText(text);
      notice('Copied.');
    } catch {
      notice('The browser does not let a page copy here (it does over HTTPS): select the text.', 'warn');
    }
  });
  return h('div', {}, h('pre', { tabindex: '0' }, text), button(label, copy));
}

// disclosed is shown on demand.
export function disclosed(summary, load) {
  const place = h('div', {});
  const toggle = (event) => { if (event.currentTarget.open && !place.hasChildNodes()) put(place, later(load)); };
  return h('details', { toggle }, h('summary', {}, summary), place);
}

export function tabs(address, current, names) {
  return h('nav', { class: 'tabs', 'aria-label': 'Parts of this page' },
    names.filter(Boolean).map(([key, text]) => h('a', { href: key ? `${address}/${key}` : address, 'aria-current': key === current ? 'page' : null }, text)));
}

export const day = (t) => (t ? time(t).slice(0, 10) : '–');

export { newID };
