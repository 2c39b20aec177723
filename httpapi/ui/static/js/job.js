// Jobs that run in the background of the server.
import { h, put, path } from './dom.js';
import { get } from './api.js';
import { badge, later, link, trouble } from './widgets.js';
import { words } from './format.js';

const KEY = 'repod.jobs';

// remembered are the jobs that were started in this tab: the server has no
// list of them.
export function remembered() {
  try { return JSON.parse(sessionStorage.getItem(KEY)) ?? []; } catch { return []; }
}

export function remember(job) {
  const others = remembered().filter((j) => j.id !== job.job_id);
  sessionStorage.setItem(KEY, JSON.stringify([{ id: job.job_id, kind: job.kind, at: job.created_at }, ...others].slice(0, 30)));
}

const pause = (ms, signal) => new Promise((resolve, reject) => {
  const timer = setTimeout(resolve, ms);
  signal.addEventListener('abort', () => { clearTimeout(timer); reject(new DOMException('left', 'AbortError')); });
});

const over = (job) => job.status === 'done' || job.status === 'error';

// watch shows a job until it ends, and then what done makes of its result.
export function watch(job, ctx, done) {
  remember(job);
  const place = h('div', { 'aria-live': 'polite' });
  (async () => {
    try {
      for (;;) {
        put(place, state(job));
        if (over(job)) break;
        await pause(1000, ctx.signal);
        job = await get(path`/jobs/${job.job_id}`, {}, ctx.signal);
      }
      if (job.status === 'done') place.append(h('div', {}, done?.(job.result) ?? result(job.result)));
    } catch (error) {
      if (error.name !== 'AbortError') put(place, trouble(error));
    }
  })();
  return place;
}

function state(job) {
  const { done, total, message } = job.progress;
  return h('div', { class: 'box' },
    h('p', {}, badge(job.status), link(path`/ui/jobs/${job.job_id}`, words(job.kind)), message && ` – ${message}`),
    !over(job) && h('progress', total > 0 ? { max: total, value: done, 'aria-label': 'Progress' } : { 'aria-label': 'Progress' }),
    job.error && trouble({ ...job.error, message: job.error.detail }));
}

// result shows what a job has brought, whatever that is.
export function result(value) {
  return h('pre', { tabindex: '0' }, JSON.stringify(value, null, 2));
}

export const jobPage = (id, ctx) => later(async () => watch(await get(path`/jobs/${id}`, {}, ctx.signal), ctx));
