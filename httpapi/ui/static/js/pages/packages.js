import { path } from '../dom.js';
import { get } from '../api.js';
import * as session from '../session.js';
import { bytes, time } from '../format.js';
import { badge, counts, heading, link, pager, table } from '../widgets.js';
import { filters } from '../form.js';

const statuses = ['', 'indexed', 'accepted', 'pending_review', 'rejected', 'quarantined'];
const orders = [['', 'Name'], ['-name', 'Name, backwards'], ['-uploaded_at', 'Newest first'], ['uploaded_at', 'Oldest first'], ['-size_bytes', 'Largest first'], ['size_bytes', 'Smallest first']];

export async function page(ctx) {
  const [list, { distributions }] = await Promise.all([
    get('/packages/', ctx.query, ctx.signal), get('/distributions/', {}, ctx.signal),
  ]);
  return [
    heading('Packages', session.can('uploader') && link('/ui/upload', 'Upload')),
    filters(ctx, [
      { name: 'q', label: 'Name or description', type: 'search', maxlength: '128' },
      { name: 'distribution', label: 'Distribution', type: 'select', options: [['', 'Any'], ...distributions.map((d) => d.codename)] },
      { name: 'status', label: 'Status', type: 'select', options: statuses.map((s) => [s, s.replace('_', ' ') || 'Any']) },
      { name: 'arch', label: 'Architecture', maxlength: '40' },
      { name: 'section', label: 'Section', maxlength: '80' },
      { name: 'sort', label: 'Order', type: 'select', options: orders },
    ]),
    table('Packages', [
      { head: 'Package', cell: (p) => link(path`/ui/packages/${p.name}`, p.name) },
      { head: 'Newest', cell: (p) => link(path`/ui/packages/${p.name}/${p.latest_version}`, p.latest_version) },
      { head: 'Description', long: true, cell: (p) => p.description.split('\n')[0] },
      { head: 'Distributions', cell: (p) => p.distributions.join(', ') },
      { head: 'Status', cell: (p) => badge(p.status) },
      { head: 'Vulnerabilities', cell: (p) => counts(p.vulnerabilities) },
      { head: 'Size', num: true, cell: (p) => bytes(p.size_bytes) },
      { head: 'Since (UTC)', cell: (p) => time(p.uploaded_at) },
    ], list.items, Object.keys(ctx.query).length ? 'No package fits the filters.' : 'There are no packages yet.'),
    pager(ctx, list),
  ];
}
