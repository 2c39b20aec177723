import { h } from '../dom.js';
import { get, post } from '../api.js';
import * as session from '../session.js';
import { time } from '../format.js';
import { attempt, badge, button, copyable, facts, heading, later, notice, panel } from '../widgets.js';
import { dialog, form, shown } from '../form.js';
import { navigate } from '../router.js';

export function page(ctx) {
  const me = session.me();
  return [
    heading('Your account', button('Log out everywhere', (e) => attempt(e, everywhere))),
    h('div', { class: 'grid' },
      panel('About you', facts([['Name', me.username], ['Full name', me.full_name], ['E-mail', me.email], ['Roles', me.roles.join(', ')], ['Account', me.auth_source], ['Since (UTC)', time(me.created_at)]])),
      me.auth_source === 'local' && panel('Password', changePassword()),
      panel('Second factor', later(() => factor(ctx)))),
  ];
}

async function everywhere() {
  await post('/auth/logout', undefined, { everywhere: 'true' });
  session.end();
  await navigate('/ui/login');
}

const secret = (name, label, autocomplete) => ({ name, label, type: 'password', required: true, autocomplete, maxlength: '128' });
const otp = { name: 'otp', label: 'One-time password', required: true, autocomplete: 'one-time-code' };

const changePassword = () => form({
  submit: 'Change the password',
  fields: [secret('current_password', 'Current password', 'current-password'), secret('new_password', 'New password', 'new-password')],
  run: async (v, { element }) => {
    await post('/auth/change-password', v);
    element.reset();
    notice('The password is changed. Your other sessions have ended.');
  },
});

async function factor(ctx) {
  const state = await get('/auth/mfa', {}, ctx.signal);
  if (!state.enabled) return [h('p', {}, badge('off', 'warn'), 'A password alone is enough to log in.'), button('Set up', () => enrol(ctx), 'main')];
  return [
    h('p', {}, badge('on', 'good'), `${state.recovery_codes} recovery codes are left.`),
    h('div', { class: 'row' }, button('New recovery codes', renew), button('Switch off', () => disable(ctx), 'bad')),
  ];
}

async function enrol(ctx) {
  let offer;
  await dialog({ title: 'Set up a second factor', submit: 'Go on', fields: [secret('password', 'Your password', 'current-password')],
    run: async (v) => { offer = await post('/auth/mfa', v); } });
  if (!offer) return;
  let made;
  await dialog({
    title: 'Enter the secret in your authenticator', submit: 'Confirm', text: `Secret: ${offer.secret} – or as an address: ${offer.otpauth_url}`,
    fields: [{ ...otp, label: 'The one-time password that it shows' }],
    run: async (v) => { made = await post('/auth/mfa/confirm', v); },
  });
  if (!made) return;
  await ctx.again();
  showCodes(made);
}

const showCodes = (made) => shown('Recovery codes, shown this once',
  h('p', {}, 'Each replaces a one-time password once, if the device is lost. Keep them where the password is not.'), copyable(made.recovery_codes.join('\n')));

async function renew() {
  let made;
  await dialog({ title: 'New recovery codes', text: 'The old ones end.', submit: 'Make', fields: [secret('password', 'Your password', 'current-password'), otp],
    run: async (v) => { made = await post('/auth/mfa/recovery-codes', v); } });
  if (made) showCodes(made);
}

async function disable(ctx) {
  const done = await dialog({ title: 'Switch the second factor off', submit: 'Switch off', danger: true, fields: [secret('password', 'Your password', 'current-password'), otp],
    run: (v) => post('/auth/mfa/disable', v) });
  if (done) await ctx.again();
}
