import { h, path, put } from '../dom.js';
import { get, upload } from '../api.js';
import { bytes } from '../format.js';
import { badge, button, counts, empty, heading, link, trouble } from '../widgets.js';
import { field, read } from '../form.js';

export async function page(ctx) {
  const { distributions } = await get('/distributions/', {}, ctx.signal);
  if (distributions.length === 0) {
    return [heading('Upload'), empty('There is no distribution yet to upload to.'), link('/ui/distributions', 'Distributions')];
  }
  const target = field({ name: 'distribution', label: 'Distribution', type: 'select', options: distributions.map((d) => d.codename), value: ctx.query.distribution });
  const components = h('div', {});
  let component;
  const choose = () => {
    const d = distributions.find((x) => x.codename === read(target));
    component = field({ name: 'component', label: 'Component', type: 'select', options: d.components });
    put(components, component.element);
  };
  target.input.addEventListener('change', choose);
  choose();
  const list = h('ul', { class: 'plain', 'aria-label': 'Uploads', 'aria-live': 'polite' });
  const queue = line((file, row) => send(file, { distribution: read(target), component: read(component) }, row, ctx));
  const take = (files) => [...files].forEach((file) => {
    const row = h('li', { class: 'panel' }, h('strong', { class: 'wrap' }, file.name), ` ${bytes(file.size)} – waits`);
    list.append(row);
    queue(file, row);
  });
  return [heading('Upload'), target.element, components, drop(take), list];
}

// line runs one piece of work after the other.
function line(work) {
  let last = Promise.resolve();
  return (...what) => { last = last.then(() => work(...what)); };
}

function drop(take) {
  const input = h('input', { type: 'file', multiple: true, accept: '.deb,.udeb', id: 'files', change: (e) => { take(e.currentTarget.files); e.currentTarget.value = ''; } });
  const over = (event) => { event.preventDefault(); area.classList.add('over'); };
  const out = () => area.classList.remove('over');
  const area = h('div', {
    class: 'drop', dragover: over, dragleave: out,
    drop: (event) => { event.preventDefault(); out(); take(event.dataTransfer.files); },
  }, h('p', {}, h('label', { for: 'files' }, 'Drop packages (.deb) here, or choose them:')), input);
  return area;
}

async function send(file, where, row, ctx) {
  if (ctx.signal.aborted) return;
  const bar = h('progress', { max: Math.max(file.size, 1), value: 0, 'aria-label': `Upload of ${file.name}` });
  const note = h('span', { class: 'soft' }, '');
  const stop = new AbortController();
  const name = h('strong', { class: 'wrap' }, file.name);
  put(row, h('div', { class: 'row ends' }, h('span', {}, name, ' ', note), button('Stop', () => stop.abort(), 'small')), bar);
  ctx.signal.addEventListener('abort', () => stop.abort());
  try {
    const answer = await upload(file, where, (loaded, total) => {
      bar.max = total;
      bar.value = loaded;
      put(note, loaded < total ? `${bytes(loaded)} of ${bytes(total)}` : 'is read and scanned …');
    }, stop.signal);
    put(row, name, outcome(answer));
  } catch (error) {
    if (error.name === 'AbortError') put(row, name, ' – stopped');
    else put(row, name, trouble(error, () => send(file, where, row, ctx)), details(error));
  }
}

function outcome(a) {
  const text = { already_indexed: 'It was there already.', pending_review: 'It waits for a decision before it is published.' }[a.status] ?? `It is in ${a.distribution}; apt sees it.`;
  return [
    h('p', {}, link(`${path`/ui/packages/${a.name}/${a.version}`}?arch=${encodeURIComponent(a.arch)}`, `${a.name} ${a.version} ${a.arch}`), ' ', badge(a.status), text),
    a.scan.vulnerabilities.scanned && h('p', {}, 'Vulnerabilities: ', counts(a.scan.vulnerabilities)),
    a.warnings.length > 0 && h('ul', {}, a.warnings.map((w) => h('li', {}, `${w.code.replaceAll('_', ' ')}: ${w.message}`))),
  ];
}

function details({ body = {} }) {
  return [
    body.existing_sha256 && h('p', { class: 'small wrap' }, `There: ${body.existing_sha256}. This file: ${body.incoming_sha256}.`),
    body.max_bytes && h('p', { class: 'small' }, `At most ${bytes(body.max_bytes)}.`),
    body.scan && h('p', {}, 'Vulnerabilities: ', counts(body.scan.vulnerabilities)),
  ];
}
