// Elements are made here and nowhere else. Whatever a child is, unless it is a
// node it becomes a text node: there is no way from a string to markup.

const SVG = 'http://www.w3.org/2000/svg';

// Addresses may come from packages: these protocols are followed, no others.
const followed = ['http:', 'https:', 'blob:'];

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === 'function') element.addEventListener(name, value);
    else if (name === 'value' || name === 'checked' || name === 'disabled') element[name] = value;
    else if (name === 'href' || name === 'src') address(element, name, value);
    else if (name.startsWith('on') || name === 'style') throw new Error(`attribute ${name}`);
    else element.setAttribute(name, value === true ? '' : value);
  }
  append(element, children);
  return element;
}

function address(element, name, value) {
  if (followed.includes(new URL(value, location.href).protocol)) element.setAttribute(name, value);
}

function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

// h makes an element. Attributes that are functions are listeners by the
// name of their event: {click: () => ...}.
export function h(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

// put replaces what an element holds.
export function put(element, ...children) {
  element.replaceChildren();
  append(element, children);
  return element;
}

// path`/artifacts/${name}` encodes what is put into an address.
export function path(parts, ...values) {
  return parts.reduce((all, part, i) => all + encodeURIComponent(values[i - 1]) + part);
}

// withQuery adds parameters to an address; empty ones are left out.
export function withQuery(address, query) {
  const q = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined && value !== null && value !== '' && value !== false) q.set(name, value);
  }
  const text = q.toString();
  return text ? `${address}?${text}` : address;
}

let ids = 0;
export const newID = (prefix) => `${prefix}-${++ids}`;
