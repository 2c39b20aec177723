// The vulnerabilities of a version and what was decided about them.
import { h } from './dom.js';
import * as session from './session.js';
import { decide } from './actions.js';
import { badge, button, outside, table } from './widgets.js';
import { plural, time, words } from './format.js';

export const cveColumns = [
  { head: 'ID', cell: (c) => [c.urls[0] ? outsideNamed(c.urls[0], c.id) : c.id, c.kev && [' ', badge('exploited', 'bad')]] },
  { head: 'Severity', cell: (c) => badge(c.severity) },
  { head: 'CVSS', num: true, cell: (c) => c.cvss ?? '–' },
  { head: 'EPSS', num: true, cell: (c) => c.epss ?? '–' },
  { head: 'Fixed in', cell: (c) => c.fixed_version ?? words(c.fix_state) },
];

function outsideNamed(url, text) {
  const a = outside(url);
  a.replaceChildren(text);
  return a;
}

export function findings(report, a, ctx) {
  const open = report.cves.filter((c) => c.status === 'open').length;
  return [
    h('div', { class: 'row' }, h('span', { class: 'soft' }, report.scanned
      ? `Data of ${time(report.data_date)} UTC. ${plural(open, 'finding')} open of ${report.total}.`
      : 'There were no data about vulnerabilities of this distribution when it was scanned.'),
      open > 0 && session.can('maintainer') && a.status !== 'quarantined' && button('Decide about them', () => decide(a, report.cves, ctx))),
    report.cves.length > 0 && table('Vulnerabilities, the worst first', [
      ...cveColumns,
      { head: 'State', cell: (c) => badge(c.status, c.status === 'open' ? 'warn' : 'good') },
      { head: 'About', long: true, cell: (c) => [h('span', { class: 'mono' }, `${c.package} ${c.installed_version}`), ' ', c.description] },
    ], report.cves),
    report.decisions.length > 0 && table('Decisions, newest first', [
      { head: 'Decision', cell: (d) => [badge(d.decision, d.active ? 'good' : ''), !d.active && 'no longer in force'] },
      { head: 'Reason', long: true, cell: (d) => h('span', { class: 'text' }, d.comment) },
      { head: 'About', long: true, cell: (d) => d.cve_ids.join(', ') },
      { head: 'By', cell: (d) => d.decided_by },
      { head: 'When (UTC)', cell: (d) => time(d.decided_at) },
      { head: 'Until', cell: (d) => (d.expires_at ? time(d.expires_at) : 'for good') },
    ], report.decisions),
  ];
}
