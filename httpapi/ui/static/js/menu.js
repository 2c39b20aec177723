// The menu: the pages that the user may see.
import { h, put } from './dom.js';
import { routes } from './routes.js';
import * as session from './session.js';
import { post } from './api.js';
import { attempt } from './widgets.js';
import { navigate } from './router.js';

async function logOut() {
  try {
    await post('/auth/logout');
  } catch (error) {
    if (error.status !== 401) throw error; // it is over anyway
  }
  session.end();
  return navigate('/ui/login');
}

export function drawMenu(current) {
  const top = document.getElementById('top');
  top.classList.remove('open');
  if (!session.me()) {
    put(top);
    return;
  }
  const toggle = (event) => event.currentTarget.setAttribute('aria-expanded', String(top.classList.toggle('open')));
  const offered = routes.filter((r) => r.menu && (!r.role || session.can(r.role)));
  const isCurrent = (r) => current && r.at.split('/')[0] === current.at.split('/')[0];
  put(top,
    h('div', { class: 'brand' }, h('img', { src: '/ui/icon.svg', alt: '' }), 'repod'),
    h('button', { type: 'button', class: 'menu', 'aria-expanded': 'false', 'aria-controls': 'menu', click: toggle }, 'Menu'),
    h('nav', { id: 'menu', 'aria-label': 'Main' }, h('ul', {}, offered.map((r) =>
      h('li', {}, h('a', { href: `/ui/${r.at.split('/')[0]}`, 'aria-current': isCurrent(r) ? 'page' : null }, r.menu))))),
    h('div', { class: 'who' },
      h('a', { href: '/ui/account', 'aria-current': current?.page === 'account' ? 'page' : null }, session.me().username),
      h('span', { class: 'soft' }, session.me().roles.join(', ')),
      h('div', { class: 'row' }, h('button', { type: 'button', class: 'small', click: (e) => attempt(e, logOut) }, 'Log out'))));
}
