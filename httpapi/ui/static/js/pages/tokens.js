import { h, path } from '../dom.js';
import { del, get, post } from '../api.js';
import * as session from '../session.js';
import { time } from '../format.js';
import { badge, button, copyable, heading, panel, table } from '../widgets.js';
import { dialog, shown } from '../form.js';

const narrowed = [
  { name: 'distributions', label: 'Only these distributions, one a line', type: 'lines', help: 'Empty: all.' },
  { name: 'packages', label: 'Only these package names, one a line', type: 'lines', help: 'Empty: all. An asterisk stands for any text.' },
];
const orAbsent = (list) => (list.length ? list : undefined);
const until = (t) => (!t ? 'never' : Date.parse(t) < Date.now() ? badge('expired', 'bad') : time(t));

export async function page(ctx) {
  const [{ tokens }, { publishers }] = await Promise.all([get('/auth/api-tokens', {}, ctx.signal), get('/auth/trusted-publishers', {}, ctx.signal)]);
  return [
    heading('Tokens', button('New token', () => create(ctx), 'main')),
    panel('API tokens', table('For programs, newest first', [
      { head: 'Name', cell: (t) => t.name }, { head: 'Begins with', cell: (t) => h('code', {}, t.prefix) }, { head: 'Roles', cell: (t) => t.roles.join(', ') },
      { head: 'Only', cell: (t) => [...t.distributions, ...(t.packages ?? [])].join(', ') || 'everything' }, { head: 'By', cell: (t) => t.created_by },
      { head: 'Expires', cell: (t) => until(t.expires_at) }, { head: 'Last used (UTC)', cell: (t) => time(t.last_used_at) },
      { head: '', act: true, cell: (t) => button('Revoke', () => revoke(t, ctx), 'small bad') },
    ], tokens, 'There are no API tokens.')),
    panel('Trusted publishers', h('p', { class: 'soft' }, 'CI jobs that exchange a token of their platform for one of 15 minutes: no secret is kept there.'),
      table('Trusted publishers', [
        { head: 'Name', cell: (p) => p.name }, { head: 'Issuer', long: true, cell: (p) => p.issuer }, { head: 'Repository', cell: (p) => p.repository }, { head: 'Ref', cell: (p) => p.ref },
        { head: 'Roles', cell: (p) => p.roles.join(', ') }, { head: 'Only', cell: (p) => [...p.distributions, ...(p.packages ?? [])].join(', ') || 'everything' },
        { head: '', act: true, cell: (p) => button('Delete', () => removePublisher(p, ctx), 'small bad') },
      ], publishers, 'There are none.'),
      button('New trusted publisher', () => createPublisher(ctx))),
  ];
}

async function create(ctx) {
  let made;
  await dialog({
    title: 'New API token', submit: 'Create',
    fields: [
      { name: 'name', label: 'Name', required: true, maxlength: '64', help: 'What it is for: gitlab-ci.' },
      { name: 'roles', label: 'Roles (the highest counts)', type: 'checks', options: session.roles, value: ['uploader'] },
      { name: 'expires_in_days', label: 'Expires in days', type: 'number', min: '1', max: '3650', value: '90', help: 'Empty: never.' },
      ...narrowed,
    ],
    run: async (v) => { made = await post('/auth/api-tokens', { ...v, packages: orAbsent(v.packages) }); },
  });
  if (!made) return;
  await ctx.again();
  shown('The token, shown this once', h('p', {}, `Copy it now: the server keeps only a hash of it. Its name is ${made.name}.`), copyable(made.token));
}

async function revoke(t, ctx) {
  const gone = await dialog({ title: `Revoke ${t.name}`, danger: true, submit: 'Revoke', text: 'What uses it is refused at once.', run: () => del(path`/auth/api-tokens/${t.id}`) });
  if (gone) await ctx.again();
}

async function createPublisher(ctx) {
  const made = await dialog({
    title: 'New trusted publisher', submit: 'Create',
    fields: [
      { name: 'name', label: 'Name', required: true, maxlength: '64' },
      { name: 'issuer', label: 'Issuer', type: 'url', required: true, value: 'https://token.actions.githubusercontent.com' },
      { name: 'audience', label: 'Audience', value: 'repod' },
      { name: 'repository', label: 'Repository', required: true, help: 'owner/name' }, { name: 'repository_id', label: 'ID of the repository' },
      { name: 'ref', label: 'Ref', required: true, value: 'refs/heads/main' }, { name: 'environment', label: 'Environment' },
      { name: 'roles', label: 'Roles', type: 'checks', options: session.roles, value: ['uploader'] },
      ...narrowed,
    ],
    run: (v) => post('/auth/trusted-publishers', { ...v, packages: orAbsent(v.packages) }),
  });
  if (made) await ctx.again();
}

async function removePublisher(p, ctx) {
  const gone = await dialog({ title: `Delete ${p.name}`, danger: true, submit: 'Delete', text: 'Its jobs get no tokens any more.', run: () => del(path`/auth/trusted-publishers/${p.id}`) });
  if (gone) await ctx.again();
}
