import { h, path, put } from '../dom.js';
import { get, post } from '../api.js';
import * as session from '../session.js';
import { severities, time, words } from '../format.js';
import { attempt, badge, button, counts, disclosed, empty, facts, heading, link, pager, panel, table, tabs, tile } from '../widgets.js';
import { dialog, filters } from '../form.js';
import { cveColumns } from '../findings.js';
import { decide, quarantine } from '../actions.js';
import { watch } from '../job.js';

const address = '/ui/security';

export async function page(ctx) {
  const tab = ctx.params.tab ?? '';
  const show = { '': posture, vulnerabilities, review: session.can('auditor') && review, scanner }[tab];
  return [
    heading('Security'),
    tabs(address, tab, [['', 'Posture'], ['vulnerabilities', 'Vulnerabilities'], session.can('auditor') && ['review', 'Review queue'], ['scanner', 'Scanner']]),
    show ? await show(ctx) : empty('There is no such part, or it needs the role auditor.'),
  ];
}

const whole = (p) => link(`${path`/ui/packages/${p.name}/${p.version}`}?arch=${encodeURIComponent(p.arch)}`, `${p.name} ${p.version} ${p.arch}`);

const summary = (s, more) => h('div', { class: 'tiles' }, severities.slice(0, 4).map((x) => tile(words(x), s[x])), more);

async function posture(ctx) {
  const p = await get('/security/packages-posture', ctx.query, ctx.signal);
  return [
    summary(p.summary, tile('Scanned', p.scanned_packages, `${p.unscanned_packages} not`)),
    filters(ctx, [{ name: 'distribution', label: 'Distribution' },
      { name: 'status', label: 'Status', type: 'select', options: [['', 'Any'], 'indexed', 'accepted', 'pending_review', 'rejected', 'quarantined'] }]),
    table('The worst first', [
      { head: 'Package', cell: whole },
      { head: 'Status', cell: (x) => badge(x.status) },
      { head: 'Malware', cell: (x) => badge(x.malware) },
      { head: 'Vulnerabilities', cell: (x) => [counts(x.counts), x.kev_count > 0 && badge(`${x.kev_count} exploited`, 'bad')] },
      { head: 'EPSS', num: true, cell: (x) => x.epss_max ?? '–' },
      { head: 'Decision', cell: (x) => (x.decision ? [words(x.decision), x.decision_expires_at && ` until ${time(x.decision_expires_at)}`] : '') },
      { head: 'Scanned (UTC)', cell: (x) => time(x.scanned_at) },
    ], p.packages.items, 'There are no packages that fit.'),
    pager(ctx, p.packages),
  ];
}

async function vulnerabilities(ctx) {
  const v = await get('/security/vulnerabilities', ctx.query, ctx.signal);
  return [
    summary(v.summary),
    filters(ctx, [
      { name: 'q', label: 'ID or package', type: 'search' },
      { name: 'severity', label: 'Severity', type: 'select', options: [['', 'Any'], ...severities] },
      { name: 'fix_state', label: 'Fix', type: 'select', options: [['', 'Any'], 'fixed', 'not_fixed', 'wont_fix', 'unknown'] },
      { name: 'distribution', label: 'Distribution' },
      { name: 'kev', label: 'Exploited', type: 'select', options: [['', 'Any'], ['true', 'Known to be'], ['false', 'Not known to be']] },
    ]),
    table('Open vulnerabilities, the worst first', [
      ...cveColumns,
      { head: 'Packages', long: true, cell: (c) => c.affected.map((a) => h('div', {}, whole(a))) },
      { head: 'Description', long: true, cell: (c) => c.description },
    ], v.vulnerabilities.items, 'No open vulnerability fits.'),
    pager(ctx, v.vulnerabilities),
  ];
}

async function review(ctx) {
  const q = await get('/security/review-queue', ctx.query, ctx.signal);
  return [
    h('p', {}, `${q.review_count} wait for a decision, ${q.blocked_count} were rejected for their vulnerabilities.`),
    q.packages.items.map((p) => waiting(p, ctx)),
    q.packages.items.length === 0 && empty('Nothing waits.'),
    pager(ctx, q.packages),
  ];
}

const waiting = (p, ctx) => panel('',
  h('div', { class: 'row ends' },
    h('h2', {}, whole(p)),
    session.can('maintainer') && h('div', { class: 'row' },
      button('Decide', () => decide(p, p.cves, ctx), 'main'), button('Quarantine', () => quarantine(p, ctx), 'bad'))),
  h('p', {}, badge(p.status), words(p.status_reason), ` – for ${p.target_distributions.join(', ') || 'no distribution'}, by ${p.uploaded_by}, waits ${p.waiting_days} d `, counts(p.counts)),
  p.cves.length > 0 && disclosed('Its vulnerabilities', async () => table('Open', [
    ...cveColumns, { head: 'Description', long: true, cell: (c) => c.description },
  ], p.cves)));

async function scanner(ctx) {
  const c = await get('/security/clamav/status', {}, ctx.signal);
  const place = h('div', {});
  const run = (where, body) => (event) => attempt(event, async () => put(place, watch(await post(where, body), ctx)));
  return [
    panel('ClamAV',
      c.enabled ? facts([
        ['State', c.available ? badge('available', 'good') : badge('out of reach', 'bad')], ['Detail', c.detail], ['Engine', c.engine_version],
        ['Signatures', c.signature_version], ['Of (UTC)', c.signature_date && time(c.signature_date)], ['Address', c.address],
      ]) : empty('No scanner is configured: packages are not scanned for malware. The setting scan.clamav_address names one.'),
      c.enabled && session.can('maintainer') && button('Update the signatures', run('/security/clamav/update'))),
    session.can('maintainer') && panel('All packages',
      h('p', {}, 'Scans what is stored again and applies the policy anew.'),
      button('Scan again …', () => rescanAll(place, ctx))),
    place,
  ];
}

async function rescanAll(place, ctx) {
  let job;
  await dialog({
    title: 'Scan packages again', submit: 'Scan',
    fields: [{ name: 'distribution', label: 'Distribution', help: 'Empty: all.' },
      { name: 'status', label: 'Status', type: 'select', options: [['', 'Any'], 'indexed', 'accepted', 'pending_review', 'rejected', 'quarantined'] }],
    run: async (v) => { job = await post('/security/rescan', v); },
  });
  if (job) put(place, watch(job, ctx));
}
