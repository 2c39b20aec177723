import { h, path } from '../dom.js';
import { navigate } from '../router.js';
import { time, words } from '../format.js';
import { heading, link, panel, table } from '../widgets.js';
import { form } from '../form.js';
import { jobPage, remembered } from '../job.js';

export function page(ctx) {
  if (ctx.params.id) return [h('p', {}, link('/ui/jobs', '← Jobs')), heading(`Job ${ctx.params.id}`), jobPage(ctx.params.id, ctx)];
  return [
    heading('Jobs'),
    panel('Started in this tab', table('Newest first', [
      { head: 'Job', cell: (j) => link(path`/ui/jobs/${j.id}`, j.id) }, { head: 'Kind', cell: (j) => words(j.kind) }, { head: 'Since (UTC)', cell: (j) => time(j.at) },
    ], remembered(), 'None. Syncs, imports and scans of many packages are jobs.')),
    panel('Another job', form({ submit: 'Show', fields: [{ name: 'id', label: 'ID of the job', required: true, help: 'Jobs are kept for 24 hours after their end.' }],
      run: (v) => navigate(path`/ui/jobs/${v.id}`) })),
  ];
}
