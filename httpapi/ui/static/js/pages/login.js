import { h, put } from '../dom.js';
import { call, get } from '../api.js';
import * as session from '../session.js';
import { takeIssuerAnswer } from '../arrival.js';
import { local, navigate } from '../router.js';
import { form } from '../form.js';
import { heading, link, trouble } from '../widgets.js';

const NEXT = 'repod.next'; // where to go after a way round by the issuer

export async function page(ctx) {
  const answer = takeIssuerAnswer();
  if (answer) return fromIssuer(answer);
  const offer = await get('/ui/server.json');
  const otp = { name: 'otp', label: 'One-time password or recovery code', autocomplete: 'one-time-code', inputmode: 'text' };
  const fields = [
    { name: 'username', label: 'User name', required: true, autocomplete: 'username', autocapitalize: 'none', spellcheck: 'false', maxlength: '64' },
    { name: 'password', label: 'Password', type: 'password', required: true, autocomplete: 'current-password', maxlength: '128' },
  ];
  const place = h('div', {});
  const login = (more, values) => form({ fields: [...fields.map((f) => ({ ...f, value: values?.[f.name] })), ...more], submit: 'Log in', run });
  const run = async (values) => {
    try {
      session.begin(await call('POST', '/auth/token', { body: values, anonymous: true }));
    } catch (error) {
      if (error.code !== 'otp_required') throw error;
      put(place, login([{ ...otp, required: true }], values));
      place.querySelector('[name=otp]').focus();
      return;
    }
    await navigate(local(ctx.query.next), true);
  };
  put(place, login([]));
  return [
    h('div', { class: 'brand' }, h('img', { src: '/ui/icon.svg', alt: '' }), 'repod'),
    h('div', { class: 'panel' },
      heading('Log in'),
      ctx.query.reason === 'ended' && h('p', { class: 'box warn', role: 'status' }, 'Your session has ended. Log in again.'),
      place,
      offer.ldap && h('p', { class: 'help' }, 'Accounts of the directory log in here, too.'),
      offer.oidc && h('p', {}, h('button', { type: 'button', click: () => toIssuer(ctx.query.next) }, 'Log in with single sign-on')),
      offer.mail && h('p', {}, link('/ui/forgot-password', 'Forgotten your password?'))),
  ];
}

function toIssuer(next) {
  sessionStorage.setItem(NEXT, local(next));
  location.assign('/auth/oidc/login');
}

// fromIssuer hands on what the issuer sent. The server takes it from the browser
// only that began the login: it looks for the cookie.
async function fromIssuer(answer) {
  try {
    session.begin(await call('GET', `/auth/oidc/callback?${answer}`, { anonymous: true }));
  } catch (error) {
    return h('div', { class: 'panel' }, heading('Log in'), trouble(error), link('/ui/login', 'Back to the login'));
  }
  const next = local(sessionStorage.getItem(NEXT));
  sessionStorage.removeItem(NEXT);
  navigate(next, true);
  return [];
}
