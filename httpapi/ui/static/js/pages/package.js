import { h, path } from '../dom.js';
import { get } from '../api.js';
import { bytes, time } from '../format.js';
import { badge, counts, heading, link, outside, table } from '../widgets.js';

export async function page(ctx) {
  const p = await get(path`/artifacts/${ctx.params.name}`, {}, ctx.signal);
  return [
    h('p', {}, link('/ui/packages', '← Packages')),
    heading(p.name),
    h('p', { class: 'text' }, p.description),
    p.homepage && h('p', {}, outside(p.homepage)),
    table('Versions, newest first', [
      { head: 'Version', cell: (a) => link(`${path`/ui/packages/${a.name}/${a.version}`}?arch=${encodeURIComponent(a.arch)}`, a.version) },
      { head: 'Architecture', cell: (a) => a.arch },
      { head: 'Status', cell: (a) => badge(a.status) },
      { head: 'Distributions', cell: (a) => a.distributions.join(', ') },
      { head: 'Vulnerabilities', cell: (a) => counts(a.scan.vulnerabilities) },
      { head: 'Size', num: true, cell: (a) => bytes(a.size_bytes) },
      { head: 'Since (UTC)', cell: (a) => time(a.uploaded_at) },
      { head: 'By', cell: (a) => a.uploaded_by },
    ], p.versions),
  ];
}
