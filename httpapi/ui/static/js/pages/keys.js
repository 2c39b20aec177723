import { h } from '../dom.js';
import { get, post } from '../api.js';
import { time } from '../format.js';
import { badge, button, copyable, heading, notice, outside, panel, table } from '../widgets.js';
import { dialog } from '../form.js';

export async function page(ctx) {
  const k = await get('/settings/gpg', {}, ctx.signal);
  return [
    heading('Signing keys', button('New key', () => generate(ctx), 'main')),
    panel('Keys', table('Newest first', [
      { head: 'Fingerprint', long: true, cell: (x) => h('code', {}, x.fingerprint) }, { head: 'Algorithm', cell: (x) => x.algorithm },
      { head: 'State', cell: (x) => [badge(x.state), x.retires_at && ` until ${time(x.retires_at)}`] }, { head: 'Of', cell: (x) => x.uids.join(', ') },
      { head: 'Since (UTC)', cell: (x) => time(x.created_at) }, { head: 'Expires', cell: (x) => (x.expires_at ? time(x.expires_at) : 'never') },
    ], k.keys, 'There is no key.')),
    k.public_key_armored && panel('For clients', h('p', {}, outside(k.key_url)), copyable(k.public_key_armored)),
  ];
}

async function generate(ctx) {
  const made = await dialog({
    title: 'New signing key', submit: 'Generate', danger: true,
    text: 'All distributions are signed anew at once. The present key goes on signing beside it for signing.overlap_days; give the new public key to the clients meanwhile.',
    fields: [
      { name: 'name', label: 'Name', value: 'repod', maxlength: '128' }, { name: 'email', label: 'E-mail', value: 'repod@localhost', maxlength: '254' },
      { name: 'algorithm', label: 'Algorithm', type: 'select', options: ['ed25519', 'rsa4096'] },
      { name: 'expire_days', label: 'Expires in days', type: 'number', min: '0', max: '3650', value: '0', help: '0: never.' },
    ],
    run: (v) => post('/settings/gpg/generate', v),
  });
  if (!made) return;
  notice('The new key signs.');
  await ctx.again();
}
