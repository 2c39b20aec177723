import { h, path, withQuery } from '../dom.js';
import { get } from '../api.js';
import { bytes, time, words } from '../format.js';
import { heading, link, panel, table, tile } from '../widgets.js';
import { bars } from '../chart.js';

export async function page(ctx) {
  const days = ['7', '30', '90', '365'].includes(ctx.query.days) ? ctx.query.days : '30';
  const d = await get('/downloads/stats', { days }, ctx.signal);
  const { summary: s } = d;
  return [
    heading('Downloads'),
    h('nav', { class: 'tabs', 'aria-label': 'Days' }, ['7', '30', '90', '365'].map((n) =>
      h('a', { href: withQuery(ctx.address, { days: n }), 'aria-current': n === days ? 'page' : null }, `${n} days`))),
    h('div', { class: 'tiles' },
      tile('Downloads', s.total_downloads, `${s.avg_per_day.toFixed(1)} a day`), tile('Packages', s.unique_packages), tile('Clients', s.unique_clients),
      tile('Sent', bytes(s.total_bytes)), tile('Most in a day', s.peak_day?.downloads ?? 0, s.peak_day?.date)),
    panel('By day', bars('Downloads by day', d.per_day.map((p) => ({ label: p.date, a: p.downloads })), 'Downloads')),
    h('div', { class: 'grid' },
      panel('By package', table('Most fetched', [
        { head: 'Package', cell: (p) => link(path`/ui/packages/${p.name}`, p.name) },
        { head: 'Downloads', num: true, cell: (p) => p.downloads }, { head: 'Clients', num: true, cell: (p) => p.clients }, { head: 'Sent', num: true, cell: (p) => bytes(p.bytes) },
      ], d.per_package, 'Nothing was fetched.')),
      panel('By client', table('Programs', [
        { head: 'Program', cell: ([name]) => words(name) }, { head: 'Downloads', num: true, cell: ([, n]) => n },
      ], Object.entries(d.per_client_type)))),
    panel('Recent', table('The last downloads', [
      { head: 'When (UTC)', cell: (r) => time(r.timestamp) }, { head: 'Package', cell: (r) => `${r.name} ${r.version} ${r.arch}` },
      { head: 'Program', cell: (r) => r.client_type }, { head: 'Sent', num: true, cell: (r) => bytes(r.bytes) }, { head: 'Address', cell: (r) => r.ip },
    ], d.recent, 'Nothing was fetched.')),
  ];
}
