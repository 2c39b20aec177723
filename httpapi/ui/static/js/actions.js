// What a maintainer does with a version of a package. After each the page is
// drawn again.
import { h, path } from './dom.js';
import { del, get, post } from './api.js';
import * as session from './session.js';
import { attempt, button, notice } from './widgets.js';
import { dialog } from './form.js';
import { navigate } from './router.js';
import { words } from './format.js';

const named = (a) => `${a.name} ${a.version} (${a.arch})`;
const address = (a, what) => path`/security/packages/${a.name}/${a.version}/` + what;
const comment = (name, label, required) => ({ name, label, type: 'textarea', required, maxlength: '4000' });

async function then(done, text, ctx) {
  if (!(await done)) return;
  notice(text);
  await ctx.again();
}

export function actions(a, ctx) {
  const published = a.status === 'indexed' || a.status === 'accepted';
  const infected = a.scan.malware.status === 'infected' && a.status === 'rejected';
  return h('div', { class: 'row' },
    a.publications.length > 0 && button('Promote', (e) => attempt(e, () => promote(a, ctx))),
    !infected && a.status !== 'quarantined' && button('Decide', () => decide(a, [], ctx)),
    !infected && button('Scan again', (e) => attempt(e, () => rescan(a, ctx))),
    a.status === 'quarantined' && button('Release', () => release(a, ctx)),
    !infected && a.status !== 'quarantined' && button('Quarantine', () => quarantine(a, ctx), published ? 'bad' : ''),
    button('Delete', () => remove(a, ctx), 'bad'));
}

async function promote(a, ctx) {
  const { distributions } = await get('/distributions/');
  const from = a.publications.map((p) => p.distribution);
  const to = distributions.map((d) => d.codename).filter((c) => !from.includes(c) || from.length > 1);
  if (to.length === 0) {
    notice('There is no other distribution; make one first.', 'warn');
    return;
  }
  await then(dialog({
    title: `Promote ${named(a)}`, text: 'It is published in the other distribution as well, and stays where it is.', submit: 'Promote',
    fields: [
      { name: 'from_distribution', label: 'From', type: 'select', options: from },
      { name: 'to_distribution', label: 'To', type: 'select', options: to },
      { name: 'component', label: 'Component', help: 'Empty: the one that it has.' },
    ],
    run: (v) => post('/distributions/promote', { name: a.name, version: a.version, arch: a.arch, ...v }),
  }), `${named(a)} is promoted.`, ctx);
}

export async function decide(a, cves, ctx) {
  const open = cves.filter((c) => c.status === 'open').map((c) => c.id);
  await then(dialog({
    title: `Decide about ${named(a)}`, submit: 'Decide',
    text: 'Accepted and not affected publish it. Rejected puts it into quarantine, upgrade required takes it out until there is a fixed version.',
    fields: [
      { name: 'decision', label: 'Decision', type: 'select', options: ['accepted', 'not_affected', 'upgrade_required', 'rejected'].map((d) => [d, words(d)]) },
      comment('comment', 'Reason', true),
      { name: 'expires_in_days', label: 'Expires in days', type: 'number', min: '1', max: '3650', help: 'Empty: never. Only for accepted and not affected.' },
      open.length > 1 && { name: 'cve_ids', label: 'Only about', type: 'checks', options: [...new Set(open)], help: 'None: about all that are open now.' },
    ],
    run: (v) => post(address(a, 'decide'), v, { arch: a.arch }),
  }), `Decided about ${named(a)}.`, ctx);
}

export async function rescan(a, ctx) {
  const answer = await post(address(a, 'rescan'), undefined, { arch: a.arch });
  const { status, previous_status: before } = answer.results[0];
  notice(status === before ? 'Scanned again; the status stays as it was.' : `Scanned again; the status is now ${words(status)}.`);
  await ctx.again();
}

export const quarantine = (a, ctx) => then(dialog({
  title: `Put ${named(a)} into quarantine`, text: 'It leaves every distribution at once.', submit: 'Quarantine', danger: true,
  fields: [comment('reason', 'Reason')],
  run: (v) => post(address(a, 'quarantine'), v, { arch: a.arch }),
}), `${named(a)} is in quarantine.`, ctx);

export const release = (a, ctx) => then(dialog({
  title: `Release ${named(a)}`, text: 'It is scanned again, and published where it was when the policy lets it.', submit: 'Release',
  fields: [comment('comment', 'Comment')],
  run: (v) => post(address(a, 'release'), v, { arch: a.arch }),
}), `${named(a)} is released.`, ctx);

export const unpublish = (a, codename, ctx) => then(dialog({
  title: `Remove ${named(a)} from ${codename}`, text: 'It stays recorded, and in other distributions.', submit: 'Remove', danger: true,
  run: () => del(path`/distributions/${codename}/packages/${a.name}/${a.version}`, { arch: a.arch, component: a.component }),
}), `${named(a)} is no longer in ${codename}.`, ctx);

async function remove(a) {
  const gone = await dialog({
    title: `Delete ${named(a)}`, text: 'It leaves every distribution, and its file goes after 24 hours. Its name and version stay taken by the same contents.',
    submit: 'Delete', danger: true,
    fields: [session.can('admin') && { name: 'forget', label: 'Forget it: other contents may take its name and version', type: 'checkbox' }],
    run: (v) => del(path`/artifacts/${a.name}/${a.version}`, { arch: a.arch, forget: v.forget }),
  });
  if (!gone) return;
  notice(`${named(a)} is deleted.`);
  await navigate('/ui/packages');
}
