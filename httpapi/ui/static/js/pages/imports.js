import { h, path, put } from '../dom.js';
import { del, get, post } from '../api.js';
import * as session from '../session.js';
import { bytes, plural, time, words } from '../format.js';
import { attempt, badge, button, empty, heading, later, link, notice, table, tabs } from '../widgets.js';
import { dialog, filters, form } from '../form.js';
import { watch } from '../job.js';

const address = '/ui/imports';

export async function page(ctx) {
  const tab = ctx.params.tab ?? '';
  const show = { '': search, sources: sources, groups: groups }[tab];
  if (!show) return [heading('Imports'), empty('There is no such part.')];
  return [
    heading('Imports'),
    tabs(address, tab, [['', 'Search and fetch'], ['sources', 'Sources'], ['groups', 'Groups']]),
    await show(ctx),
  ];
}

async function search(ctx) {
  const place = h('div', { id: 'order' });
  return [
    filters(ctx, [
      { name: 'q', label: 'Name or description', type: 'search', required: true, maxlength: '128' },
      { name: 'source_id', label: 'Source' }, { name: 'arch', label: 'Architecture' },
    ]),
    place,
    ctx.query.q ? later(async () => hits(await get('/import/search', { limit: 100, ...ctx.query }, ctx.signal), place, ctx))
      : empty('Search in what the sources offer, by name or description.'),
  ];
}

const hits = (found, place, ctx) => table(`${plural(found.count, 'package')} found`, [
  { head: 'Package', cell: (p) => p.name },
  { head: 'Version', cell: (p) => p.version },
  { head: 'Architecture', cell: (p) => p.arch },
  { head: 'Description', long: true, cell: (p) => p.description.split('\n')[0] },
  { head: 'Source', cell: (p) => [p.source_id, p.security && [' ', badge('security', 'good')]] },
  { head: 'Size', num: true, cell: (p) => bytes(p.size_bytes) },
  ...(session.can('uploader') ? [{ head: '', act: true, cell: (p) => button('Fetch …', (e) => attempt(e, () => order(p, place, ctx)), 'small') }] : []),
], found.results, 'No source offers such a package.');

// order asks where a package shall go, shows what comes with it, and fetches.
async function order(p, place, ctx) {
  const { distributions } = await get('/distributions/', {}, ctx.signal);
  if (distributions.length === 0) {
    notice('There is no distribution to import to yet.', 'warn');
    return;
  }
  const preview = h('div', {});
  put(place, h('section', { class: 'panel' },
    h('h2', { tabindex: '-1' }, `Fetch ${p.name} ${p.version}`),
    form({
      submit: 'Preview',
      fields: [
        { name: 'distribution', label: 'Distribution', type: 'select', options: distributions.map((d) => d.codename) },
        { name: 'component', label: 'Component', value: 'main' },
        { name: 'group', label: 'Group', help: 'A name for what comes in by this; optional.' },
        { name: 'dependencies', label: 'With the dependencies that the distribution lacks', type: 'checkbox', value: true },
      ],
      run: async (v) => {
        const arch = p.arch === 'all' ? undefined : p.arch;
        const wanted = { name: p.name, version: p.version, arch, source_id: v.dependencies ? undefined : p.source_id, ...v };
        const plan = await get(path`/import/resolve/${p.name}`, { version: p.version, arch, distribution: v.distribution }, ctx.signal);
        put(preview, planned(plan, wanted, preview, ctx));
      },
    }), preview));
  place.querySelector('h2').focus();
}

function planned(plan, wanted, preview, ctx) {
  const fetch = (event) => attempt(event, async () => {
    const job = await post('/import/fetch', wanted, { wait: 'false' });
    put(preview, watch(job, ctx, imported));
  });
  return [
    h('p', {}, `${plural(plan.to_import, 'package')} to fetch (${bytes(plan.download_bytes)}), ${plan.already_present} there already, ${plan.unresolved} in no source.`),
    plan.conflicts?.length > 0 && h('div', { class: 'box warn' }, plan.conflicts.map((c) => h('p', {}, c))),
    table('What comes in', [
      { head: 'Package', cell: (x) => x.name }, { head: 'Version', cell: (x) => x.version }, { head: 'Status', cell: (x) => badge(x.status) },
      { head: 'Because of', cell: (x) => (x.required_by ? `${x.required_by}: ${words(x.relation)} ${x.name} ${x.constraint}` : '') },
      { head: 'Source', cell: (x) => x.source_id ?? '' }, { head: 'Size', num: true, cell: (x) => bytes(x.size_bytes) },
      { head: 'Note', cell: (x) => x.reason ?? '' },
    ], wanted.dependencies ? plan.packages : plan.packages.slice(0, 1)),
    button('Fetch', fetch, 'main'),
  ];
}

const imported = (r) => table(`${plural(r.imported, 'package')} imported, ${r.skipped} there already, ${r.errors} failed`, [
  { head: 'Package', cell: (x) => link(path`/ui/packages/${x.name}`, `${x.name} ${x.version}`) }, { head: 'Architecture', cell: (x) => x.arch },
  { head: 'Status', cell: (x) => badge(x.status) }, { head: 'Detail', long: true, cell: (x) => x.detail },
], r.results);

async function sources(ctx) {
  const admin = session.can('admin');
  const maintainer = session.can('maintainer');
  const [status, schedule] = await Promise.all([get('/import/sync-status', {}, ctx.signal), get('/import/sync-schedule', {}, ctx.signal)]);
  const place = h('div', {});
  const run = (where) => (event) => attempt(event, async () => put(place, watch(await post(where), ctx, () => h('p', {}, button('Show the new state', () => ctx.again())))));
  return [
    h('p', {}, schedule.enabled ? `Synced by itself: next ${time(schedule.next_run)} UTC, last ${time(schedule.last_run)}.` : 'Nothing is synced by itself.'),
    h('div', { class: 'row' },
      maintainer && button('Sync all', run('/import/sync'), 'main'), maintainer && button('Sync security sources', run('/import/sync-security')),
      admin && button('New source', () => newSource(ctx))),
    place,
    table('Sources', [
      { head: 'Source', cell: (s) => s.source_id },
      { head: 'From', long: true, cell: (s) => `${s.url} ${s.suite}` },
      { head: 'For', cell: (s) => s.target_distribution || 'all' },
      { head: 'State', cell: (s) => [s.enabled ? badge(s.status) : badge('disabled', ''), s.security && badge('security', '')] },
      { head: 'Packages', num: true, cell: (s) => s.package_count },
      { head: 'Last sync (UTC)', cell: (s) => time(s.last_sync) },
      { head: 'Error', long: true, cell: (s) => s.error?.detail ?? s.error ?? '' },
      { head: '', act: true, cell: (s) => [
        maintainer && s.enabled && button('Sync', run(path`/import/sync/${s.source_id}`), 'small'), ' ',
        admin && button('Delete', () => removeSource(s, ctx), 'small bad')] },
    ], status.sources, 'There are no sources.'),
  ];
}

async function newSource(ctx) {
  const made = await dialog({
    title: 'New source', submit: 'Create',
    fields: [
      { name: 'id', label: 'ID', required: true, maxlength: '64' },
      { name: 'url', label: 'URL', type: 'url', required: true, help: 'Up to before dists/.' },
      { name: 'suite', label: 'Suite', required: true },
      { name: 'components', label: 'Components, one a line', type: 'lines', value: ['main'] },
      { name: 'architectures', label: 'Architectures, one a line', type: 'lines', value: ['amd64'] },
      { name: 'keyring', label: 'Keyring of the server', help: 'Either this or the key below.' },
      { name: 'signed_by', label: 'Public key, armoured', type: 'textarea' },
      { name: 'target_distribution', label: 'For the distribution', help: 'Empty: for all.' },
      { name: 'security', label: 'It brings security updates', type: 'checkbox' },
      { name: 'enabled', label: 'Enabled', type: 'checkbox', value: true },
    ],
    run: (v) => post('/import/sources', v),
  });
  if (made) await ctx.again();
}

async function removeSource(s, ctx) {
  const gone = await dialog({
    title: `Delete the source ${s.source_id}`, text: 'What was imported from it stays.', submit: 'Delete', danger: true,
    run: () => del(path`/import/sources/${s.source_id}`),
  });
  if (gone) await ctx.again();
}

async function groups(ctx) {
  const { groups: all } = await get('/import/groups', {}, ctx.signal);
  if (all.length === 0) return empty('There are no groups. A group names what a fetch has brought in.');
  return all.map((g) => h('details', { class: 'panel' },
    h('summary', {}, `${g.name}: ${plural(g.package_count, 'package')}, ${bytes(g.total_size_bytes)}`),
    h('p', { class: 'soft' }, `${time(g.created_at)} UTC by ${g.created_by}`),
    table(`Packages of ${g.name}`, [
      { head: 'Package', cell: (p) => link(path`/ui/packages/${p.name}/${p.version}`, `${p.name} ${p.version}`) },
      { head: 'Architecture', cell: (p) => p.arch }, { head: 'Status', cell: (p) => badge(p.status) }, { head: 'Size', num: true, cell: (p) => bytes(p.size_bytes) },
    ], g.packages),
    session.can('maintainer') && button('Delete the group', () => removeGroup(g, ctx), 'bad')));
}

async function removeGroup(g, ctx) {
  const gone = await dialog({
    title: `Delete the group ${g.name}`, submit: 'Delete', danger: true,
    fields: [{ name: 'packages', label: 'Take its packages out of every distribution, too', type: 'checkbox' }],
    run: (v) => del(path`/import/groups/${g.name}`, v),
  });
  if (gone) await ctx.again();
}
