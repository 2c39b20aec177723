import { h, put } from '../dom.js';
import { call, get, post, tagged } from '../api.js';
import { plural, time, words, bytes } from '../format.js';
import { attempt, button, empty, heading, notice, panel, table, tabs, trouble } from '../widgets.js';
import { dialog, form } from '../form.js';

const MASK = '********';
const address = '/ui/settings';

// flat turns the tree into leaves by their dotted names. What the schema has
// is a leaf, whatever it holds.
function flat(tree, schema, prefix = '') {
  return Object.entries(tree).flatMap(([key, value]) => {
    const name = prefix + key;
    return schema[name] || typeof value !== 'object' || Array.isArray(value) ? [[name, value]] : flat(value, schema, `${name}.`);
  });
}

// nested is the way back, for a patch.
function nested(leaves) {
  const tree = {};
  for (const [name, value] of leaves) {
    const parts = name.split('.');
    const last = parts.pop();
    parts.reduce((at, p) => (at[p] ??= {}), tree)[last] = value;
  }
  return tree;
}

const section = (name) => {
  const parts = name.split('.');
  if (parts.length === 1) return 'general';
  return parts.length > 2 ? parts[1] : parts[0];
};

export async function page(ctx) {
  const [schema, current] = await Promise.all([get('/ui/settings.json', {}, ctx.signal), tagged('GET', '/settings/', { signal: ctx.signal })]);
  const leaves = flat(current.value, schema);
  const names = [...new Set(leaves.map(([name]) => section(name)))];
  const chosen = names.includes(ctx.params.section) ? ctx.params.section : 'general';
  return [
    heading('Settings'),
    tabs(address, chosen, names.map((s) => [s, title(s)])),
    panel(title(chosen), sectionForm(leaves.filter(([name]) => section(name) === chosen), schema, current.etag, ctx)),
    extras[chosen]?.(ctx),
  ];
}

const short = { cve: 'Vulnerabilities', scan: 'Malware', sbom: 'SBOM', smtp: 'Mail', ldap: 'LDAP', oidc: 'Single sign-on' };
const title = (s) => short[s] ?? words(s);

function sectionForm(leaves, schema, etag, ctx) {
  const fields = leaves.flatMap(([name, value]) => fieldsOf(name, value, schema[name] ?? {}));
  return form({
    submit: 'Save', fields,
    run: async (values) => {
      const changed = leaves.map(([name, value]) => [name, value, wanted(name, value, values)]).filter(([, old, now]) => JSON.stringify(old) !== JSON.stringify(now));
      if (changed.length === 0) {
        notice('Nothing was changed.', 'warn');
        return;
      }
      await call('PATCH', '/settings/', { body: nested(changed.map(([name, , now]) => [name, now])), headers: { 'If-Match': etag } });
      notice(`Saved: ${changed.map(([name]) => name).join(', ')}.`);
      await ctx.again();
    },
  });
}

// fieldsOf makes the field of a leaf by its rule, else by what it holds.
function fieldsOf(name, value, { rule = '', help, choices, secret }) {
  const f = { name, label: words(name.split('.').pop()), help: [help, `(${name})`].filter(Boolean).join(' '), value };
  if (secret) {
    return [
      { ...f, type: 'password', value: '', autocomplete: 'new-password', placeholder: value === MASK ? 'set; leave empty to keep it' : 'not set' },
      value === MASK && { name: `${name}#clear`, label: `Remove the stored ${words(name.split('.').pop()).toLowerCase()}`, type: 'checkbox' },
    ].filter(Boolean);
  }
  const bounds = /^(\d+)\.\.(\d+)$/.exec(rule);
  if (typeof value === 'boolean') return [{ ...f, type: 'checkbox' }];
  if (typeof value === 'number') return [{ ...f, type: 'number', required: true, min: bounds?.[1], max: bounds?.[2], step: name.includes('epss') ? 'any' : '1' }];
  if (choices) return [{ ...f, type: 'checks', options: choices }];
  if (Array.isArray(value) && value.every((x) => typeof x === 'string')) return [{ ...f, type: 'lines', help: `${f.help} One a line.` }];
  if (typeof value === 'object') return [{ ...f, type: 'json' }];
  if (rule.includes('|')) return [{ ...f, type: 'select', options: rule.split('|').map((o) => [o, o || 'none']) }];
  return [{ ...f, type: rule === 'pem' ? 'textarea' : 'text', spellcheck: 'false' }];
}

function wanted(name, value, values) {
  if (`${name}#clear` in values && values[`${name}#clear`]) return '';
  const now = values[name];
  if (value === MASK && now === '') return MASK;
  return now ?? (typeof value === 'string' ? '' : value);
}

// test is a button that has the server try what is saved.
function test(what, where, told, body) {
  const place = h('div', { 'aria-live': 'polite' });
  const run = (event) => attempt(event, async () => {
    put(place);
    try {
      put(place, h('p', { class: 'box good' }, told(await post(where, body))));
    } catch (error) {
      put(place, trouble(error));
    }
  });
  return panel(what, h('p', { class: 'soft' }, 'It takes what is saved.'), button('Try it', run), place);
}

async function retention(dry) {
  let r;
  const ask = async () => { r = await post('/settings/run-retention', undefined, { dry_run: String(dry), wait: 'true' }); };
  if (dry) await ask();
  else await dialog({ title: 'Run retention', text: 'Old versions leave the distributions, as the settings say.', submit: 'Run', danger: true, run: ask });
  return r;
}

function retentionPanel() {
  const place = h('div', { 'aria-live': 'polite' });
  const run = (dry) => (event) => attempt(event, async () => {
    const r = await retention(dry);
    if (!r) return;
    put(place, h('p', {}, `${plural(r.removed_count, 'publication')} ${r.dry_run ? 'would go' : 'went'}, ${bytes(r.freed_bytes)}.`), table('What goes', [
      { head: 'Package', cell: (x) => `${x.name} ${x.version} ${x.arch}` }, { head: 'Distribution', cell: (x) => x.distribution }, { head: 'Reason', long: true, cell: (x) => words(x.reason) }, { head: 'Size', num: true, cell: (x) => bytes(x.size_bytes) },
    ], r.removed, 'Nothing.'));
  });
  return panel('Retention', h('div', { class: 'row' }, button('Show what would go', run(true)), button('Run now', run(false), 'bad')), place);
}

const extras = {
  general: retentionPanel,
  smtp: () => test('Test mail', '/settings/test-email', (r) => `A mail was sent to ${r.to}.`),
  webhook: () => test('Test event', '/settings/test-webhook', (r) => `Delivered in ${r.duration_ms} ms, answered ${r.http_status}.`),
  ldap: () => test('Test the directory', '/settings/test-ldap', (r) => `${r.message}, ${r.tls ? 'encrypted' : 'not encrypted'}.`),
  import: () => {
    const place = h('div', {}, empty('…'));
    get('/settings/next-sync').then((n) => put(place, n.next_run ? `The next sync is at ${time(n.next_run)} UTC.` : 'No sync is scheduled.'), (error) => put(place, trouble(error)));
    return panel('Schedule', place);
  },
};
