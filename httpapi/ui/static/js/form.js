// Forms: fields with labels, the server's complaints beside the fields, and a
// button that rests while the server works.
import { h, put, newID, withQuery } from './dom.js';
import { trouble, button } from './widgets.js';
import { navigate } from './router.js';

// A field is {name, label, type, value, help, required, options, ...attributes}.
// Types: those of inputs, select, textarea, lines (a list, one a line), json,
// checkbox, checks (a list of some options).
function control(f, id, described) {
  const { name, label, type = 'text', value, help, options, initial, ...attributes } = f;
  const all = { id, name, 'aria-describedby': described, ...attributes };
  switch (type) {
    case 'select':
      return h('select', all, options.map((o) => {
        const [key, text] = Array.isArray(o) ? o : [o, o];
        return h('option', { value: key, selected: key === (value ?? '') }, text);
      }));
    case 'textarea': return h('textarea', { ...all, value: value ?? '' });
    case 'lines': return h('textarea', { ...all, value: (value ?? []).join('\n') });
    case 'json': return h('textarea', { ...all, class: 'mono', rows: '8', spellcheck: 'false', value: JSON.stringify(value, null, 2) });
    case 'checkbox': return h('input', { ...all, type, checked: Boolean(value) });
    default: return h('input', { ...all, type, value: value ?? '' });
  }
}

function fieldset(f) {
  const fault = h('p', { class: 'fault', id: newID('fault') });
  const element = h('fieldset', { 'aria-describedby': fault.id }, h('legend', {}, f.label),
    f.options.map((o) => {
      const id = newID('option');
      const box = h('input', { type: 'checkbox', id, name: f.name, 'data-option': o, checked: (f.value ?? []).includes(o) });
      return h('div', { class: 'field check' }, box, h('label', { for: id }, o));
    }),
    f.help && h('p', { class: 'help' }, f.help), fault);
  return { f, element, fault, marked: element };
}

export function field(f) {
  if (f.type === 'checks') return fieldset(f);
  const id = newID('field');
  const help = f.help && h('p', { class: 'help', id: `${id}-help` }, f.help);
  const fault = h('p', { class: 'fault', id: `${id}-fault` });
  const input = control(f, id, `${id}-fault${help ? ` ${id}-help` : ''}`);
  const label = h('label', { for: id }, f.label, f.required && h('span', { class: 'soft', 'aria-hidden': 'true' }, ' *'));
  const element = f.type === 'checkbox'
    ? h('div', { class: 'field check' }, input, label, help, fault)
    : h('div', { class: 'field' }, label, input, help, fault);
  return { f, element, fault, marked: input, input };
}

const lines = (text) => text.split('\n').map((l) => l.trim()).filter(Boolean);

// read returns what a field holds; undefined for an optional one that is empty.
export function read(part) {
  const { f, input } = part;
  switch (f.type) {
    case 'checks': return [...part.element.querySelectorAll('input:checked')].map((b) => b.getAttribute('data-option'));
    case 'checkbox': return input.checked;
    case 'number': return input.value === '' ? undefined : Number(input.value);
    case 'lines': return lines(input.value);
    case 'json':
      try { return JSON.parse(input.value); } catch { throw new FieldError(part, 'must be JSON'); }
    case 'password': return input.value; // every character counts
    default: return input.value.trim() === '' && !f.required ? undefined : input.value.trim();
  }
}

class FieldError extends Error {
  constructor(part, message) { super(message); this.part = part; }
}

function mark(part, message) {
  put(part.fault, message);
  if (message) part.marked.setAttribute('aria-invalid', 'true');
  else part.marked.removeAttribute('aria-invalid');
}

// blame puts the complaints of an error beside the fields that they name, and
// the rest above the button.
function blame(parts, place, error) {
  if (error instanceof FieldError) {
    mark(error.part, error.message);
    error.part.marked.focus();
    return;
  }
  const rest = [];
  for (const fault of error.fields ?? []) {
    const part = parts.find(({ f }) => fault.field === f.name || fault.field.startsWith(`${f.name}[`) || fault.field.startsWith(`${f.name}.`));
    if (part) mark(part, fault.message);
    else rest.push(fault);
  }
  put(place, trouble(Object.assign(Object.create(error), { fields: rest, message: error.message, code: error.code })));
  parts.find((p) => p.marked.getAttribute('aria-invalid'))?.marked.focus();
}

// form returns a form. run gets the values, and what it throws is shown.
export function form({ fields, submit, run, danger, cancel, label }) {
  const parts = fields.filter(Boolean).map(field);
  const place = h('div', { 'aria-live': 'polite' });
  const go = h('button', { type: 'submit', class: danger ? 'bad main' : 'main' }, submit);
  const onsubmit = async (event) => {
    event.preventDefault();
    put(place);
    parts.forEach((p) => mark(p, ''));
    go.disabled = true;
    try {
      await run(Object.fromEntries(parts.map((p) => [p.f.name, read(p)])), { parts, element });
    } catch (error) {
      if (error.name !== 'AbortError') blame(parts, place, error);
    } finally {
      go.disabled = false;
    }
  };
  const element = h('form', { submit: onsubmit, 'aria-label': label ?? submit },
    parts.map((p) => p.element), place, h('div', { class: 'row' }, go, cancel && button('Cancel', cancel)));
  return element;
}

// dialog asks for something in the way. It resolves once it is closed, to
// whether run went well.
export function dialog({ title, text, ...rest }) {
  return new Promise((resolve) => {
    let done = false;
    const id = newID('title');
    const close = () => box.close();
    const inner = form({ ...rest, fields: rest.fields ?? [], cancel: close, label: title,
      run: async (values, how) => { await rest.run(values, how); done = true; close(); } });
    const box = h('dialog', { 'aria-labelledby': id, close: () => { box.remove(); resolve(done); } },
      h('h2', { id }, title), text && h('p', { class: 'wrap' }, text), inner);
    document.body.append(box);
    box.showModal();
  });
}

// shown is a dialog that only tells something, such as a secret.
export function shown(title, ...children) {
  const id = newID('title');
  const box = h('dialog', { 'aria-labelledby': id, close: () => box.remove() },
    h('h2', { id }, title), children, h('div', { class: 'row' }, button('Close', () => box.close(), 'main')));
  document.body.append(box);
  box.showModal();
}

// filters is a form whose values are the query of the page's address.
export function filters(ctx, fields) {
  const parts = fields.map((f) => field({ ...f, value: ctx.query[f.name] ?? '' }));
  const onsubmit = (event) => {
    event.preventDefault();
    const query = Object.fromEntries(parts.map((p) => [p.f.name, read(p)]));
    navigate(withQuery(ctx.address, query));
  };
  return h('form', { class: 'filters', role: 'search', submit: onsubmit },
    parts.map((p) => p.element), h('button', { type: 'submit' }, 'Apply'),
    Object.keys(ctx.query).length > 0 && h('a', { href: ctx.address, class: 'small' }, 'Clear'));
}
