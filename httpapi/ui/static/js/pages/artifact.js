import { h, path, withQuery } from '../dom.js';
import { download, get } from '../api.js';
import * as session from '../session.js';
import { bytes, time, words } from '../format.js';
import { attempt, badge, button, copyable, counts, disclosed, empty, facts, heading, later, link, outside, panel, table } from '../widgets.js';
import { actions, unpublish } from '../actions.js';
import { findings } from '../findings.js';

const relations = ['pre_depends', 'depends', 'recommends', 'suggests', 'enhances', 'breaks', 'conflicts', 'replaces', 'provides'];

export async function page(ctx) {
  const { name, version } = ctx.params;
  const a = await get(path`/artifacts/${name}/${version}`, { arch: ctx.query.arch }, ctx.signal);
  const [synopsis, ...more] = a.description.split('\n');
  return [
    h('p', {}, link(path`/ui/packages/${name}`, `← All versions of ${name}`)),
    heading(`${a.name} ${a.version}`, badge(a.status), h('span', { class: 'badge' }, a.arch)),
    a.architectures.length > 1 && h('p', {}, 'Architectures: ', a.architectures.map((arch) =>
      [arch === a.arch ? h('strong', {}, arch) : link(withQuery(ctx.address, { arch }), arch), ' '])),
    h('p', {}, synopsis),
    more.length > 0 && h('p', { class: 'text soft' }, more.join('\n')),
    a.status_reason && h('div', { class: 'box warn' }, h('strong', {}, words(a.status_reason)), a.status_detail && `: ${a.status_detail}`),
    session.can('maintainer') && actions(a, ctx),
    h('div', { class: 'grid' }, about(a), panel('Where it is published', published(a, ctx))),
    panel('Safety', safety(a), later(async () => findings(await get(path`/security/packages/${name}/${version}/cve`, { arch: a.arch }, ctx.signal), a, ctx))),
    panel('Relations', facts(relations.map((r) => [words(r), a[r]])),
      disclosed('What is missing for it', async () => missing(await get(path`/artifacts/${name}/dependencies`, { version, arch: a.arch }, ctx.signal)))),
    a.publications.length > 0 && panel('Install', later(() => install(a, ctx))),
    panel('Bill of materials', bill(a)),
  ];
}

const about = (a) => panel('About', facts([
  ['Source', a.source], ['Section', a.section], ['Priority', a.priority], ['Component', a.component],
  ['Maintainer', a.maintainer], ['Homepage', a.homepage && outside(a.homepage)], ['Size', bytes(a.size_bytes)],
  ['Installed', a.installed_size_kb ? bytes(a.installed_size_kb * 1024) : ''], ['Multi-Arch', a.multi_arch], ['Essential', a.essential && 'yes'],
  ['SHA-256', h('code', {}, a.sha256)], ['File', a.download_url && outside(a.download_url)],
  ['Came by', `${a.origin}${a.source_id ? ` of ${a.source_id}` : ''}`], ['Group', a.group],
  ['By', a.uploaded_by], ['Since (UTC)', time(a.uploaded_at)],
]));

function published(a, ctx) {
  return table('Publications', [
    { head: 'Distribution', cell: (p) => link(path`/ui/distributions/${p.distribution}`, p.distribution) },
    { head: 'Component', cell: (p) => p.component },
    { head: 'Since (UTC)', cell: (p) => time(p.published_at) },
    ...(session.can('maintainer') ? [{ head: '', act: true, cell: (p) => button('Remove', () => unpublish(a, p.distribution, ctx), 'small bad') }] : []),
  ], a.publications, 'It is in no distribution.');
}

function safety(a) {
  const m = a.scan.malware;
  return facts([
    ['Verdict', badge(a.scan.verdict)],
    ['Malware', [badge(m.status), m.signature]],
    ['Vulnerabilities', counts(a.scan.vulnerabilities)],
    ['Known to be exploited', a.scan.kev > 0 && badge(String(a.scan.kev), 'bad')],
    ['Highest EPSS', a.scan.epss_max ?? ''],
    ['Scanned (UTC)', time(a.scan.scanned_at)],
  ]);
}

function missing(d) {
  const alternatives = (r) => r.alternatives.map((x) => `${x.name}${x.constraint && ` (${x.constraint})`}`).join(' | ');
  return [
    h('p', {}, d.distribution ? `In ${d.distribution}:` : 'In any distribution:', ' ',
      d.all_satisfied ? badge('all there', 'good') : badge(`missing: ${d.missing.join(', ')}`, 'bad')),
    table('Relations and what satisfies them', [
      { head: 'Relation', cell: (r) => words(r.relation) },
      { head: 'Packages', long: true, cell: alternatives },
      { head: 'Satisfied', cell: (r) => (r.satisfied ? badge('yes', 'good') : badge('no', 'warn')) },
      { head: 'Sources have it', cell: (r) => (r.available_upstream ? 'yes' : 'no') },
    ], d.dependencies, 'It needs no other package.'),
  ];
}

async function install(a, ctx) {
  const i = await get(path`/artifacts/${a.name}/install`, { version: a.version, arch: a.arch }, ctx.signal);
  return [
    h('p', {}, 'On a machine that has the repository:'), copyable(i.command, 'Copy the command'),
    h('details', {}, h('summary', {}, `Set up ${i.distribution} on a machine, as root, and install`), copyable(i.script, 'Copy the script')),
  ];
}

function bill(a) {
  if (a.scan.malware.status === 'infected') return empty('Nothing is kept of it.');
  const fetch = (format, name) => (event) => attempt(event, () => download(path`/sbom/${a.name}/${a.version}`, { format, arch: a.arch }, name));
  return h('div', { class: 'row' },
    button('CycloneDX', fetch('cyclonedx', `${a.name}-sbom.cdx.json`)), button('SPDX', fetch('spdx', `${a.name}-sbom.spdx.json`)));
}
