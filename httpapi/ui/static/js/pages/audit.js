import { h } from '../dom.js';
import { download, get } from '../api.js';
import { attempt, badge, button, heading, notice, pager, table } from '../widgets.js';
import { filters } from '../form.js';

export async function page(ctx) {
  const log = await get('/artifacts/audit/logs', ctx.query, ctx.signal);
  const { page: _, ...matching } = ctx.query;
  const save = (type, name) => (event) => attempt(event, () => download('/artifacts/audit/logs', matching, name, type));
  return [
    heading('Audit log', button('Verify the chain', (e) => attempt(e, verify)),
      button('Save as CSV', save('text/csv', 'audit.csv')), button('Save as JSON lines', save('application/x-ndjson', 'audit.ndjson'))),
    filters(ctx, [
      { name: 'q', label: 'Anywhere', type: 'search', maxlength: '128' }, { name: 'user', label: 'User' }, { name: 'action', label: 'Action', placeholder: 'package.upload' },
      { name: 'result', label: 'Result', type: 'select', options: [['', 'Any'], 'success', 'failure', 'denied', 'pending_review', 'partial'] },
      { name: 'package', label: 'Package' }, { name: 'start', label: 'From', type: 'date' }, { name: 'end', label: 'Until', type: 'date' },
      { name: 'sort', label: 'Order', type: 'select', options: [['', 'Newest first'], ['asc', 'Oldest first']] },
    ]),
    table('Entries', [
      { head: 'No.', num: true, cell: (e) => e.id },
      { head: 'When (UTC)', cell: (e) => e.timestamp.replace('T', ' ').replace('Z', '') },
      { head: 'User', cell: (e) => [e.user, e.ip && h('div', { class: 'soft small' }, e.ip)] },
      { head: 'Action', cell: (e) => h('code', {}, e.action) },
      { head: 'Result', cell: (e) => badge(e.result) },
      { head: 'Package', cell: (e) => [e.package, ' ', e.version] },
      { head: 'Target', cell: (e) => e.target },
      { head: 'Detail', long: true, cell: (e) => [e.detail, e.request_id && h('div', { class: 'soft small' }, `request ${e.request_id}`)] },
    ], log.items, 'No entry fits.'),
    pager(ctx, log),
  ];
}

async function verify() {
  const r = await get('/artifacts/audit/verify');
  if (r.status === 'ok') notice(`The chain holds: ${r.entries} entries, ${r.first_id} to ${r.last_id}. Head ${r.head}.`);
  else notice(`The chain is broken at entry ${r.broken_at}. ${r.detail ?? ''}`, 'bad');
}
