import { h, put } from '../dom.js';
import { call } from '../api.js';
import { form } from '../form.js';
import { heading, link } from '../widgets.js';

export function page() {
  const place = h('div', {});
  put(place, form({
    submit: 'Send the link',
    fields: [{ name: 'email', label: 'E-mail address of your account', type: 'email', required: true, autocomplete: 'email' }],
    run: async (values) => {
      const answer = await call('POST', '/auth/forgot-password', { body: values, anonymous: true });
      put(place, h('p', { class: 'box good', role: 'status' }, answer.message));
    },
  }));
  return h('div', { class: 'panel' }, heading('Forgotten password'),
    h('p', {}, 'You get a link by mail that works once and for 30 minutes. Passwords of a directory are changed there.'),
    place, link('/ui/login', 'Back to the login'));
}
