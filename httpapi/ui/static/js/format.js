// How values are written.

const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

export function bytes(n) {
  let i = 0;
  while (n >= 1024 && i < units.length - 1) { n /= 1024; i++; }
  return `${i ? n.toFixed(1) : n} ${units[i]}`;
}

// time writes a time of the API as it is, in UTC, without seconds.
export const time = (t) => (t ? `${t.slice(0, 10)} ${t.slice(11, 16)}` : '–');

// words writes a name of the API for people.
export const words = (name) => {
  const text = String(name ?? '').replaceAll('_', ' ').replace(/\b(url|dn|cve|kev|epss|ip|tls|pem|id|ca)\b/g, (w) => w.toUpperCase());
  return text.charAt(0).toUpperCase() + text.slice(1);
};

export const plural = (n, one, many = `${one}s`) => `${n} ${n === 1 ? one : many}`;

export const severities = ['critical', 'high', 'medium', 'low', 'negligible', 'unknown'];

const tones = {
  indexed: 'good', accepted: 'good', pending_review: 'warn', rejected: 'bad', quarantined: 'bad',
  ok: 'good', clean: 'good', allow: 'good', active: 'good', done: 'good', imported: 'good', already_present: 'good', not_modified: 'good', success: 'good',
  warn: 'warn', review: 'warn', partial: 'warn', running: 'warn', queued: 'warn', syncing: 'warn', retiring: 'warn', to_import: 'warn', never: 'warn', not_scanned: 'warn',
  error: 'bad', failure: 'bad', denied: 'bad', block: 'bad', infected: 'bad', broken: 'bad', unresolved: 'bad',
  critical: 'bad', high: 'bad', medium: 'warn', kev: 'bad',
};

export const tone = (word) => tones[word] ?? '';
