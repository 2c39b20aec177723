import { h, path, withQuery } from '../dom.js';
import { get } from '../api.js';
import { bytes, plural, time, words } from '../format.js';
import { badge, counts, empty, heading, later, link, panel, table, tile } from '../widgets.js';
import { bars } from '../chart.js';

export async function page(ctx) {
  const s = await get('/dashboard/stats', {}, ctx.signal);
  const status = s.packages.by_status;
  return [
    heading('Overview'),
    alerts(s.alerts),
    h('div', { class: 'tiles' },
      tile('Packages', s.packages.total, `${plural(s.packages.artifacts, 'file')}, ${bytes(s.packages.total_size_bytes)}`),
      tile('Distributions', s.distributions, `${s.packages.uploaded_today} uploaded today`),
      tile('Waiting for review', status.pending_review, `${status.rejected} rejected, ${status.quarantined} in quarantine`),
      tile('Downloads, 7 days', s.downloads.last_7_days, `${s.downloads.today} today, ${s.downloads.last_30_days} in 30 days`),
      tile('Last sync', s.last_sync ? time(s.last_sync) : 'never', s.next_sync ? `next ${time(s.next_sync)} UTC` : 'none scheduled')),
    history(ctx),
    h('div', { class: 'grid' },
      panel('Vulnerabilities', h('p', {}, counts({ ...s.security, scanned: s.security.scanned > 0 }), s.security.kev > 0 && badge(`${s.security.kev} known to be exploited`, 'bad')),
        h('p', { class: 'soft' }, `${plural(s.security.scanned, 'file')} scanned, ${s.security.unscanned} not.`), link('/ui/security', 'Details'), expiring(s.security.decisions_expiring)),
      panel('Scanner for malware', scanner(s.clamav))),
    panel('Recent', table('What came in last', [
      { head: 'When (UTC)', cell: (r) => time(r.timestamp) },
      { head: 'What', cell: (r) => words(r.kind) },
      { head: 'Package', cell: (r) => link(path`/ui/packages/${r.name}/${r.version}`, `${r.name} ${r.version}`) },
      { head: 'Distribution', cell: (r) => r.distribution },
      { head: 'Status', cell: (r) => badge(r.status) },
      { head: 'By', cell: (r) => r.user },
    ], s.recent, 'Nothing has been uploaded or imported yet.')),
  ];
}

function alerts(all) {
  return all.map((a) => h('div', { class: `box ${['kev', 'quarantined', 'rejected'].includes(a.kind) ? 'bad' : 'warn'}` },
    a.name ? link(path`/ui/packages/${a.name}`, a.message) : a.kind === 'pending_review' ? link('/ui/security/review', a.message) : a.message));
}

function scanner(c) {
  if (!c.enabled) return empty('None is configured: packages are not scanned for malware.');
  return c.available
    ? h('p', {}, badge('available', 'good'), `signatures of ${time(c.signature_date)} UTC`)
    : h('p', {}, badge('out of reach', 'bad'));
}

function expiring(decisions) {
  if (decisions.length === 0) return null;
  return [h('h3', {}, 'Decisions that expire within 7 days'), h('ul', {}, decisions.map((d) =>
    h('li', {}, link(path`/ui/packages/${d.name}/${d.version}`, `${d.name} ${d.version}`), ` – ${words(d.decision)}, until ${time(d.expires_at)}`)))];
}

function history(ctx) {
  const days = ['7', '30', '90'].includes(ctx.query.days) ? ctx.query.days : '30';
  return panel('History',
    h('nav', { class: 'tabs', 'aria-label': 'Days' }, ['7', '30', '90'].map((d) =>
      h('a', { href: withQuery('/ui/', { days: d }), 'aria-current': d === days ? 'page' : null }, `${d} days`))),
    later(async () => {
      const { history: all } = await get('/dashboard/history', { days }, ctx.signal);
      return bars('Packages in and downloads, by day', all.map((d) => ({ label: d.date, a: d.uploads + d.imports, b: d.downloads })), 'Uploads and imports', 'Downloads');
    }));
}
