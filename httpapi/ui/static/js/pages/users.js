import { path } from '../dom.js';
import { call, del, get, post } from '../api.js';
import * as session from '../session.js';
import { time } from '../format.js';
import { badge, button, heading, notice, table } from '../widgets.js';
import { dialog } from '../form.js';

const roleField = (value) => ({ name: 'roles', label: 'Roles (the highest counts)', type: 'checks', options: session.roles, value });

export async function page(ctx) {
  const { users } = await get('/auth/users', {}, ctx.signal);
  return [
    heading('Users', button('New user', () => create(ctx), 'main')),
    table('Users', [
      { head: 'Name', cell: (u) => u.username }, { head: 'Full name', long: true, cell: (u) => u.full_name }, { head: 'E-mail', cell: (u) => u.email },
      { head: 'Roles', cell: (u) => u.roles.join(', ') },
      { head: 'State', cell: (u) => (u.active ? badge('active') : badge('locked', 'bad')) }, { head: 'From', long: true, cell: (u) => u.auth_source },
      { head: 'Last login (UTC)', cell: (u) => time(u.last_login) },
      { head: '', act: true, cell: (u) => [
        button('Change', () => change(u, ctx), 'small'), ' ',
        u.auth_source === 'local' && button('Password', () => password(u), 'small'), ' ',
        button('Second factor', () => factor(u), 'small'), ' ',
        u.username !== session.me().username && button('Delete', () => remove(u, ctx), 'small bad')] },
    ], users),
  ];
}

async function create(ctx) {
  const made = await dialog({
    title: 'New user', submit: 'Create',
    fields: [
      { name: 'username', label: 'User name', required: true, maxlength: '64', autocomplete: 'off' },
      { name: 'password', label: 'Password', type: 'password', required: true, autocomplete: 'new-password', maxlength: '128' },
      { name: 'email', label: 'E-mail', type: 'email' }, { name: 'full_name', label: 'Full name', maxlength: '128' }, roleField(['viewer']),
    ],
    run: (v) => post('/auth/users', v),
  });
  if (made) await ctx.again();
}

async function change(u, ctx) {
  const done = await dialog({
    title: `Change ${u.username}`, submit: 'Save', text: 'Other roles or a lock end the sessions of the user.',
    fields: [{ name: 'email', label: 'E-mail', type: 'email', value: u.email }, { name: 'full_name', label: 'Full name', value: u.full_name, maxlength: '128' },
      roleField(u.roles), { name: 'active', label: 'May log in', type: 'checkbox', value: u.active }],
    run: (v) => call('PATCH', path`/auth/users/${u.username}`, { body: { ...v, email: v.email ?? '', full_name: v.full_name ?? '' } }),
  });
  if (done) await ctx.again();
}

async function password(u) {
  const done = await dialog({
    title: `New password for ${u.username}`, submit: 'Set', text: 'All sessions of the user end.',
    fields: [{ name: 'new_password', label: 'New password', type: 'password', required: true, autocomplete: 'new-password', maxlength: '128' }],
    run: (v) => post(path`/auth/users/${u.username}/reset-password`, v),
  });
  if (done) notice('The password is set.');
}

async function factor(u) {
  const done = await dialog({
    title: `Take away the second factor of ${u.username}`, danger: true, submit: 'Take away',
    text: 'For somebody who has lost the device and the recovery codes. Make sure that it is really that person who asks.',
    run: () => del(path`/auth/users/${u.username}/mfa`),
  });
  if (done) notice(`${u.username} logs in without a second factor now.`);
}

async function remove(u, ctx) {
  const gone = await dialog({
    title: `Delete ${u.username}`, danger: true, submit: 'Delete', text: 'API tokens that the user made stay valid; revoke them under Tokens.',
    run: () => del(path`/auth/users/${u.username}`),
  });
  if (gone) await ctx.again();
}
