import { path } from '../dom.js';
import { get, post } from '../api.js';
import * as session from '../session.js';
import { bytes, time } from '../format.js';
import { attempt, badge, button, heading, link, notice, table } from '../widgets.js';
import { dialog } from '../form.js';

export async function page(ctx) {
  const { distributions } = await get('/distributions/', {}, ctx.signal);
  return [
    heading('Distributions', session.can('maintainer') && [
      button('New distribution', () => init(ctx), 'main'),
      distributions.length > 1 && button('Migrate', () => migrate(distributions, ctx)),
      button('Check and republish', (e) => attempt(e, () => sync(ctx))),
    ]),
    table('Distributions', [
      { head: 'Codename', cell: (d) => link(path`/ui/distributions/${d.codename}`, d.codename) },
      { head: 'Description', long: true, cell: (d) => d.description },
      { head: 'Components', cell: (d) => d.components.join(', ') },
      { head: 'Architectures', cell: (d) => d.architectures.join(', ') },
      { head: 'Packages', num: true, cell: (d) => d.package_count },
      { head: 'Size', num: true, cell: (d) => bytes(d.size_bytes) },
      { head: 'Signed', cell: (d) => (d.signed ? badge('yes', 'good') : badge('no', 'bad')) },
      { head: 'Published (UTC)', cell: (d) => time(d.last_published_at) },
    ], distributions, 'There is no distribution yet.'),
  ];
}

async function init(ctx) {
  const made = await dialog({
    title: 'New distribution', submit: 'Create',
    fields: [
      { name: 'codename', label: 'Codename', required: true, maxlength: '40', help: 'Small letters, digits, dots and hyphens: jammy, stable-internal.' },
      { name: 'description', label: 'Description', maxlength: '256' },
      { name: 'components', label: 'Components, one a line', type: 'lines', value: ['main'] },
      { name: 'architectures', label: 'Architectures, one a line', type: 'lines', value: ['amd64', 'arm64'] },
      { name: 'os', label: 'Release whose vulnerability data apply', help: 'debian:12, ubuntu:22.04. Empty: known from the codename, or none.' },
    ],
    run: (v) => post('/distributions/init', v),
  });
  if (made) await ctx.again();
}

async function migrate(all, ctx) {
  const names = all.map((d) => d.codename);
  let answer;
  const ok = await dialog({
    title: 'Migrate packages', text: 'All versions and architectures are published in the other distribution, too. What the policy or the architectures forbid is told and left out.', submit: 'Migrate',
    fields: [
      { name: 'from_distribution', label: 'From', type: 'select', options: names },
      { name: 'to_distribution', label: 'To', type: 'select', options: names, value: names[1] },
      { name: 'packages', label: 'Packages, one a line', type: 'lines', help: 'Empty: all.' },
      { name: 'remove_source', label: 'Take them out of the first one', type: 'checkbox' },
    ],
    run: async (v) => { answer = await post('/distributions/migrate', { ...v, packages: v.packages.length ? v.packages : undefined }); },
  });
  if (!ok) return;
  notice(`${answer.migrated} migrated, ${answer.skipped} were there, ${answer.errors.length} left out${answer.errors.map((e) => `; ${e.name}: ${e.detail}`).join('')}`,
    answer.status === 'ok' ? 'good' : 'warn');
  await ctx.again();
}

async function sync(ctx) {
  const answer = await post('/artifacts/admin/sync-index');
  notice(`${answer.packages_indexed} files are published; ${answer.repaired.length} repaired${answer.repaired.map((r) => `; ${r.kind} ${r.name} ${r.version}`).join('')}.`);
  await ctx.again();
}
