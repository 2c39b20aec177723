import { h, path } from '../dom.js';
import { download, get, text } from '../api.js';
import * as session from '../session.js';
import { bytes, time } from '../format.js';
import { attempt, badge, button, copyable, facts, heading, later, link, pager, panel, table } from '../widgets.js';
import { filters } from '../form.js';
import { unpublish } from '../actions.js';

export async function page(ctx) {
  const { codename } = ctx.params;
  const [list, { distributions }] = await Promise.all([
    get(path`/distributions/${codename}/packages`, ctx.query, ctx.signal), get('/distributions/', {}, ctx.signal),
  ]);
  const d = distributions.find((x) => x.codename === codename);
  return [
    h('p', {}, link('/ui/distributions', '← Distributions')),
    heading(codename, session.can('uploader') && link(`/ui/upload?distribution=${encodeURIComponent(codename)}`, 'Upload')),
    h('div', { class: 'grid' },
      panel('About', facts([
        ['Description', d.description], ['Origin', d.origin], ['Label', d.label], ['Suite', d.suite],
        ['Components', d.components.join(', ')], ['Architectures', d.architectures.join(', ')],
        ['Signed', d.signed ? badge('yes', 'good') : badge('no', 'bad')], ['Published (UTC)', time(d.last_published_at)],
      ]), h('h3', {}, 'Bill of materials'), bill(codename)),
      panel('Set up a client', h('p', {}, 'As root, on a machine with curl:'), later(async () => copyable(setup(codename, await text(path`/apt/${codename}.sources`, ctx.signal)))))),
    filters(ctx, [
      { name: 'q', label: 'Name', type: 'search' },
      { name: 'component', label: 'Component', type: 'select', options: [['', 'Any'], ...d.components] },
      { name: 'arch', label: 'Architecture', type: 'select', options: [['', 'Any'], 'all', ...d.architectures] },
    ]),
    table(`Packages of ${codename}`, [
      { head: 'Package', cell: (p) => link(`${path`/ui/packages/${p.name}/${p.version}`}?arch=${encodeURIComponent(p.arch)}`, p.name) },
      { head: 'Version', cell: (p) => p.version },
      { head: 'Architecture', cell: (p) => p.arch },
      { head: 'Component', cell: (p) => p.component },
      { head: 'Status', cell: (p) => badge(p.status) },
      { head: 'Size', num: true, cell: (p) => bytes(p.size_bytes) },
      { head: 'Since (UTC)', cell: (p) => time(p.published_at) },
      ...(session.can('maintainer') ? [{ head: '', act: true, cell: (p) => button('Remove', () => unpublish(p, codename, ctx), 'small bad') }] : []),
    ], list.items, 'No package is in it that fits.'),
    pager(ctx, list),
  ];
}

function bill(codename) {
  const fetch = (format) => (event) => attempt(event, () => download('/sbom/export', { format, distribution: codename }, `sbom-${codename}.json`));
  return h('div', { class: 'row' }, button('CycloneDX', fetch('cyclonedx')), button('SPDX', fetch('spdx')));
}

// setup is the text of the contract. The stanza knows what clients call the
// server, which need not be what the browser calls it.
function setup(codename, stanza) {
  const base = /^URIs: (\S+?)\/?$/m.exec(stanza)[1];
  return [
    'install -d -m 0755 /etc/apt/keyrings',
    `curl -fsSL ${base}/repod.asc -o /etc/apt/keyrings/repod.asc`,
    `curl -fsSL ${base}/${codename}.sources -o /etc/apt/sources.list.d/repod-${codename}.sources`,
    'apt-get update', '',
  ].join('\n');
}
