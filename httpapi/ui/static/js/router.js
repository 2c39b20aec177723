// Which page an address is, and the way from one to the next.
import { h, put, withQuery } from './dom.js';
import { routes } from './routes.js';
import { get, onSessionEnd } from './api.js';
import * as session from './session.js';
import { loading, trouble, link } from './widgets.js';
import { drawMenu } from './menu.js';

const base = '/ui/';

function match(pathname) {
  const given = pathname.slice(base.length).replace(/\/$/, '').split('/');
  for (const route of routes) {
    const wanted = route.at.split('/');
    if (given.length > wanted.length) continue;
    const params = {};
    const fits = wanted.every((w, i) => {
      if (!w.startsWith(':')) return w === given[i];
      if (given[i] === undefined) return w.endsWith('?');
      params[w.replace(/^:|\?$/g, '')] = decode(given[i]);
      return true;
    });
    if (fits) return { route, params };
  }
  return {};
}

function decode(segment) {
  try { return decodeURIComponent(segment); } catch { return segment; }
}

let leave = new AbortController(); // ends what the present page still waits for

// show draws the page of the present address.
async function show() {
  leave.abort();
  leave = new AbortController();
  const { signal } = leave;
  const { route, params } = match(location.pathname);
  const main = document.getElementById('main');
  const draw = (...what) => {
    if (signal.aborted) return;
    put(main, what);
    main.querySelector('h1')?.focus({ preventScroll: true });
  };
  document.querySelectorAll('dialog').forEach((d) => d.close());
  document.title = `${route?.title ?? 'No such page'} · repod`;
  document.body.classList.toggle('alone', Boolean(route?.open) || !session.token());
  put(main, loading());
  try {
    if (!route?.open && !(await known(signal))) return;
    drawMenu(route);
    if (!route) return draw(h('h1', { tabindex: '-1' }, 'There is no such page'), link(base, 'To the overview'));
    if (route.role && !session.can(route.role)) return draw(h('h1', { tabindex: '-1' }, route.title), lacking(route.role));
    const { page } = await import(`./pages/${route.page}.js`);
    const query = Object.fromEntries(new URLSearchParams(location.search));
    draw(await page({ params, query, address: location.pathname, signal, again: show }));
  } catch (error) {
    if (error.name !== 'AbortError') draw(h('h1', { tabindex: '-1' }, route?.title ?? ''), trouble(error, show));
  }
}

const lacking = (role) => h('div', { class: 'box warn' },
  h('p', {}, `This page needs the role ${role}; you have ${session.me().roles.join(', ') || 'none'}.`),
  h('p', {}, 'Ask an administrator for the role, or somebody who has it.'));

// known finds out who is logged in; nobody is sent to log in first.
async function known(signal) {
  if (!session.token()) {
    toLogin();
    return false;
  }
  if (!session.me()) session.setUser(await get('/auth/me', {}, signal));
  return true;
}

function toLogin(reason) {
  const here = location.pathname + location.search;
  navigate(withQuery(`${base}login`, { next: here === base ? '' : here, reason }), true);
}

export function navigate(address, replace = false) {
  history[replace ? 'replaceState' : 'pushState'](null, '', address);
  window.scrollTo(0, 0);
  return show();
}

// local returns an address of the console that came from outside, or the
// overview: nobody shall be led elsewhere by a link to the login.
export function local(address) {
  try {
    const url = new URL(address ?? '', location.origin);
    if (url.origin === location.origin && url.pathname.startsWith(base)) return url.pathname + url.search;
  } catch { /* no address */ }
  return base;
}

// follow takes clicks on links to pages of the console.
function follow(event) {
  const a = event.target.closest?.('a[href]');
  if (!a || event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const url = new URL(a.href);
  if (url.origin !== location.origin || !url.pathname.startsWith(base) || url.hash || a.target || a.hasAttribute('download')) return;
  event.preventDefault();
  navigate(url.pathname + url.search);
}

export function start() {
  document.addEventListener('click', follow);
  window.addEventListener('popstate', show);
  onSessionEnd(() => {
    if (!match(location.pathname).route?.open) toLogin('ended');
  });
  return show();
}
